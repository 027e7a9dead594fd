"""What engines are constructed with, and where the parts of their checkpoints are."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from serve_app.core.config import Model
from serve_app.core.media import BlobStore
from serve_app.core.settings import Storage
from serve_app.family.engines.model_paths import located, model_path


class CommonArguments(TypedDict):
    """What every engine takes besides its options."""

    model: Model
    path: Path | None
    blobs: BlobStore


@dataclass(frozen=True)
class EngineSetup:
    """`common` for every engine, the methods for those whose checkpoints have parts."""

    storage: Storage
    common: CommonArguments

    def part(self, source: str | None) -> Path | None:
        """Where the files of a part are that has a source of its own, a vocoder say."""
        part = self.common["model"].model_copy(update={"source": source, "revision": None})
        return model_path(self.storage, part, lambda _: None)

    def located(self, source: str) -> Path:
        """The files of what an engine lays beside its model."""
        return located(self.storage, self.common["model"], source)
