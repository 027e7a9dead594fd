"""Which models are in memory now, as their replicas report."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping
from contextvars import Context
from typing import Protocol

from serve_app.core.errors import AppError
from serve_app.core.status import ModelStatus
from serve_app.runtime.limits import LimitPassed, within

logger = logging.getLogger(__name__)

STATUS_AGE_S = 1.0
STATUS_TIMEOUT_S = 3.0
PATIENCE_S = 0.25
RECENT_S = 5.0
LONG_PATIENCE_S = 0.75
"""Where what is known is no longer recent: it may be from before the last call."""


class StatusSource(Protocol):
    """A family that says which of its models are loaded."""

    name: str

    async def status(self) -> tuple[ModelStatus, ...]:
        """The states of its models. Raises AppError."""
        ...


class LiveStatuses:
    """The states of all models that a running replica holds. When they are older than `age_s` the
    replicas are asked; while those are busy, nobody waits longer than `patience_s`, or
    `long_patience_s` when what was known is not recent, and it is still told. Only before anything
    is known, everybody waits for the answers.

    Families without a running replica are not asked, because asking would start one. `running`
    names the others, and may block.
    """

    def __init__(
        self,
        models: Mapping[str, Collection[str]],
        families: Mapping[str, StatusSource],
        running: Callable[[], Collection[str]],
        *,
        age_s: float = STATUS_AGE_S,
        patience_s: float = PATIENCE_S,
        long_patience_s: float = LONG_PATIENCE_S,
    ) -> None:
        self._models = models
        self._families = families
        self._running = running
        self._age_s = age_s
        self._patience_s = patience_s
        self._long_patience_s = long_patience_s
        self._known: dict[str, ModelStatus] = {}
        self._known_at = -math.inf
        self._asking: asyncio.Task[None] | None = None

    async def __call__(self) -> Mapping[str, ModelStatus]:
        """By canonical model id."""
        age_s = time.monotonic() - self._known_at
        if age_s > self._age_s:
            if self._asking is None or self._asking.done():
                # Not a part of the request that happens to come first, which may be cancelled.
                self._asking = asyncio.create_task(self._refresh(), context=Context())
            asking = self._asking
            await asyncio.wait((asking,), timeout=self._patience(age_s))
            if asking.done():
                asking.result()
        return self._known

    def _patience(self, age_s: float) -> float | None:
        if math.isinf(age_s):
            return None
        return self._patience_s if age_s < RECENT_S else self._long_patience_s

    async def _refresh(self) -> None:
        running = await asyncio.to_thread(self._running)
        requested = [family for name, family in self._families.items() if name in running]
        answers = await asyncio.gather(*(self._status(family) for family in requested))
        reported = {status.id: status for answer in answers for status in answer}
        self._known = {id: _unloaded(status) for id, status in self._known.items()} | reported
        self._known_at = time.monotonic()

    async def _status(self, family: StatusSource) -> tuple[ModelStatus, ...]:
        """A replica too busy to answer keeps what was known of its models."""
        try:
            async with within(STATUS_TIMEOUT_S):
                return await family.status()
        except (LimitPassed, AppError) as error:
            logger.info("no status from %r: %s", family.name, error)
            own = self._models[family.name]
            return tuple(status for status in self._known.values() if status.id in own)


def _unloaded(status: ModelStatus) -> ModelStatus:
    """Of a model whose last replica was stopped: what is known of it is still true."""
    return ModelStatus(id=status.id, state="unloaded").with_facts_of(status)
