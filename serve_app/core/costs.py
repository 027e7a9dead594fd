"""Device time that a piece of work costs, and what it uses of models, counted where the work is
awaited.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from serve_app.core.amounts import UsedModels
from serve_app.core.message import Message


@dataclass
class Meter:
    """Seconds for which replicas of families were busy with the work; those of calls at the same
    time add up. `used` is what the models have used that did it.
    """

    device_s: float = 0.0
    used: UsedModels = field(default_factory=UsedModels)


class BusyTime(Message):
    """The last item of a metered call: how long the replica was busy with it, not counting what it
    waited for a place or a model.
    """

    device_s: float


METER: ContextVar[Meter | None] = ContextVar("METER", default=None)
"""The meter of the work that runs now; tasks that it starts share it."""

ANSWERING: ContextVar[Callable[[str], None] | None] = ContextVar("ANSWERING", default=None)
"""Who is told the id of the model that answers, where several might."""


@contextmanager
def metered() -> Generator[Meter]:
    """Count what everything costs that is awaited in the block."""
    meter = Meter()
    token = METER.set(meter)
    try:
        yield meter
    finally:
        METER.reset(token)
