"""The options of the fake engine."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from typing_extensions import override

from serve_app.core.options.engine import EngineOptions
from serve_app.core.tasks import Task

Breakage = Literal["error", "keyword_only", "timeout", "cancelled", "as_told"]


class FakeOptions(EngineOptions):
    """The deterministic engine for tests, benchmarks and dry runs; see `deployments/fakes`.

    `tokens_per_s` paces streams, 0 sends at once. `load_s` delays loading. `fails_with` makes
    loading fail with that cause. `delay_s` is how long speech, transcription, image and media calls
    take; each adds a line to the file `diary` when it begins and one when it has ended, and so
    does loading. `breaks_with` makes chat, embedding and those calls fail as no engine should;
    `as_told` does so when the text is the name of another breakage. `loras`, `vaes` and
    `embeddings` are names that requests for images may use, as with the engine `diffusers`.
    """

    engine: Literal["fake"] = "fake"
    task: Task
    tokens_per_s: float = Field(default=0, ge=0)
    load_s: float = Field(default=0, ge=0)
    fails_with: str | None = None
    breaks_with: Breakage | None = None
    context_length: int = Field(default=4096, ge=1)
    accepts_images: bool = False
    delay_s: float = Field(default=0, ge=0)
    diary: Path | None = None
    loras: dict[str, str] = Field(default_factory=dict)
    vaes: dict[str, str] = Field(default_factory=dict)
    embeddings: dict[str, str] = Field(default_factory=dict)

    @property
    @override
    def clones(self) -> bool:
        return True
