"""`Slot`: what an `EnginePool` knows of one of its models."""

from concurrent.futures import Future
from dataclasses import dataclass

from serve_app.core.config import Model
from serve_app.core.engine import Engine
from serve_app.core.status import ModelStatus


@dataclass
class Slot:
    """One model's place: its status, the running or finished load, and who uses it."""

    model: Model
    status: ModelStatus
    loading: Future[Engine] | None = None
    engine: Engine | None = None
    users: int = 0
    uses: int = 0
    loads: int = 0
    used_at: float = 0.0
    loaded_at: float = 0.0
    failed_at: float = 0.0

    def become(self, status: ModelStatus) -> None:
        """Take on another status; what was known of the model stays known."""
        self.status = status.with_facts_of(self.status)

    @property
    def failed(self) -> bool:
        """Whether the last load has ended badly."""
        load = self.loading
        return load is not None and load.done() and (load.cancelled() or bool(load.exception()))

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory. It need not have been started: who asked for it may have
        left before it was loaded.
        """
        return self.loading is not None and self.loading.done() and not self.failed

    @property
    def is_idle(self) -> bool:
        """Whether it may be unloaded."""
        return self.is_loaded and not self.users

    @property
    def idle_since(self) -> float:
        """When it was last used or loaded."""
        return max(self.used_at, self.loaded_at)
