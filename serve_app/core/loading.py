"""Loading of models: what tells of it, and what does it by hand."""

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
