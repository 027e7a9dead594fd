"""The options of every engine: one class per engine, one union, discriminated by `engine`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from serve_app.core.options.audio import (
    DemucsOptions,
    EspeakOptions,
    FasterWhisperOptions,
    HpssOptions,
    MfccOptions,
    PiperOptions,
    PocketsphinxOptions,
    PocketTtsOptions,
    RubberbandOptions,
    SpeechT5ConversionOptions,
    TransformersDiarizationOptions,
    TransformersSpeechOptions,
)
from serve_app.core.options.audio_generation import (
    AudioGenerationOptions,
    DiffusersAudioOptions,
    MusicgenOptions,
)
from serve_app.core.options.engine import EngineOptions, Section, Task
from serve_app.core.options.image import (
    DiffusersOptions,
    GrabcutOptions,
    InsightfaceOptions,
    LanczosOptions,
    OpencvFacesOptions,
    SpandrelOptions,
    Swin2srOptions,
    TiledOptions,
)
from serve_app.core.options.text import TransformersOptions, VllmOptions
from serve_app.core.options.video import (
    AvOptions,
    CameraMovesOptions,
    DiffusersVideoOptions,
    OpticalFlowOptions,
    RifeOptions,
    VideoOptions,
)

__all__ = [
    "AnyEngineOptions",
    "AudioGenerationOptions",
    "AvOptions",
    "CameraMovesOptions",
    "DemucsOptions",
    "DiffusersAudioOptions",
    "DiffusersOptions",
    "DiffusersVideoOptions",
    "EngineOptions",
    "EspeakOptions",
    "FakeOptions",
    "FasterWhisperOptions",
    "GrabcutOptions",
    "HpssOptions",
    "InsightfaceOptions",
    "LanczosOptions",
    "MfccOptions",
    "MusicgenOptions",
    "OpencvFacesOptions",
    "OpticalFlowOptions",
    "PiperOptions",
    "PocketTtsOptions",
    "PocketsphinxOptions",
    "RifeOptions",
    "RubberbandOptions",
    "Section",
    "SpandrelOptions",
    "SpeechT5ConversionOptions",
    "Swin2srOptions",
    "Task",
    "TiledOptions",
    "TransformersDiarizationOptions",
    "TransformersOptions",
    "TransformersSpeechOptions",
    "VideoOptions",
    "VllmOptions",
]


Breakage = Literal["error", "keyword_only", "timeout", "cancelled", "as_told"]


class FakeOptions(EngineOptions):
    """The deterministic engine for tests, benchmarks and dry runs; see `deployments/fakes`.

    `tokens_per_s` paces streams, 0 sends at once. `load_s` delays loading. `fails_with` makes
    loading fail with that cause. `delay_s` is how long speech, transcription, image and media calls
    take; each adds a line to the file `diary` when it begins and one when it has ended, and so
    does loading. `breaks_with` makes chat, embedding and those calls fail as no engine should;
    `as_told` does so when the text is the name of another breakage.
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

    @property
    def clones(self) -> bool:
        """See EngineOptions."""
        return True


AnyEngineOptions = Annotated[
    FakeOptions
    | TransformersOptions
    | DiffusersOptions
    | DiffusersVideoOptions
    | CameraMovesOptions
    | OpticalFlowOptions
    | RifeOptions
    | VllmOptions
    | FasterWhisperOptions
    | PocketsphinxOptions
    | TransformersDiarizationOptions
    | MfccOptions
    | EspeakOptions
    | TransformersSpeechOptions
    | PocketTtsOptions
    | PiperOptions
    | GrabcutOptions
    | OpencvFacesOptions
    | InsightfaceOptions
    | Swin2srOptions
    | SpandrelOptions
    | LanczosOptions
    | DemucsOptions
    | HpssOptions
    | SpeechT5ConversionOptions
    | RubberbandOptions
    | MusicgenOptions
    | DiffusersAudioOptions
    | AvOptions,
    Field(discriminator="engine"),
]
