"""The video-generation pipeline's messages: a film as it was asked for, from still to finish."""

from collections.abc import AsyncIterator
from typing import ClassVar, Protocol

from pydantic import Field

from serve_app.core.images import TextToImage
from serve_app.core.media import Facts, MediaResult
from serve_app.core.message import Progress
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.video import GeneratedVideo, GenerateVideo

PICTURE_STAGE = "picture"
GENERATE_STAGE = "generate"


class ProduceVideo(PipelineOperation):
    """Make `count` films, film i from the seed + i. With `picture`, as many stills are drawn first
    and animated. `warnings` are known before the work.
    """

    pipeline: ClassVar[str] = "video-generation"

    generation: GenerateVideo
    count: int = Field(default=1, ge=1)
    picture: TextToImage | None = None
    warnings: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """The video model."""
        return self.generation.model

    @property
    def prompt(self) -> str:
        """What the film is to show."""
        return self.generation.prompt

    @property
    def negative_prompt(self) -> str | None:
        """What it is not to show."""
        return self.generation.negative_prompt

    @property
    def stages(self) -> tuple[str, ...]:
        """See PipelineOperation."""
        drawn = (PICTURE_STAGE,) if self.picture else ()
        return (*drawn, *(self.generate_stage(i) for i in range(self.count)))

    def generate_stage(self, index: int) -> str:
        """The stage that makes a film; each has its own, so that a finished one is kept."""
        return GENERATE_STAGE if self.count == 1 else f"{GENERATE_STAGE}-{index + 1}"


class Videos(MediaResult):
    """The finished films in the order of their seeds."""

    videos: tuple[GeneratedVideo, ...]

    def facts(self) -> dict[str, Facts]:
        """See MediaResult."""
        return {name: fact for made in self.videos for name, fact in made.facts().items()}


ProduceVideoEvent = Progress | Videos


class VideoProducer(Protocol):
    """Produces films."""

    def produce_video(self, request: ProduceVideo) -> AsyncIterator[ProduceVideoEvent]:
        """Progress of the stage that runs, last the films."""
        ...
