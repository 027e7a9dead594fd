"""What every engine is besides its modality's Protocol."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from serve_app.core.status import ModelStatus

Report = Callable[[ModelStatus], None]
"""Told of loading progress, from any thread."""


@runtime_checkable
class Loadable(Protocol):
    """What holds models that can be loaded and unloaded by hand; both only begin it."""

    async def load_model(self, model_id: str) -> ModelStatus:
        """The model's state now."""
        ...

    async def unload_model(self, model_id: str) -> ModelStatus:
        """The model's state now; running work is waited for."""
        ...


class Engine(Protocol):
    """One loaded model. The constructor blocks while it loads and runs in a thread; it raises
    BackendUnavailable, naming cause and remedy, when the model or the library cannot be had.
    `context_length` is in tokens, None where the word has no meaning.
    """

    context_length: int | None

    async def start(self) -> None:
        """Called once, on the replica's event loop, before the first verb."""
        ...

    async def close(self) -> None:
        """Free everything. May be called twice."""
        ...
