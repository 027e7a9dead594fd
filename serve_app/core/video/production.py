"""The video-generation pipeline's messages: a video as it was asked for, from still to finish."""

from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from serve_app.core.image.images import TextToImage
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.video.finishing import VideoFinish, weight_of
from serve_app.core.video.generation import GeneratedVideo, GenerateVideo

IMAGE_STAGE = "picture"
GENERATE_STAGE = "generate"
GENERATE_WEIGHT = 6.0


class Videos(MediaResult):
    """The finished videos in the order of their seeds, and the subtitle file of each, SubRip, where
    that was asked for.
    """

    videos: tuple[GeneratedVideo, ...]
    subtitles: tuple[Blob | None, ...] = ()

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {name: fact for made in self.videos for name, fact in made.facts().items()}


class ProduceVideo(PipelineOperation[Videos]):
    """Make `count` videos, video i from the seed + i. With `image`, as many stills are generated
    first and animated. Each video is finished as `finish` says. `warnings` are known before the
    work.
    """

    name = "video.generation"

    pipeline: ClassVar[str] = "video-generation"

    generation: GenerateVideo
    count: int = Field(default=1, ge=1)
    image: TextToImage | None = None
    finish: VideoFinish = VideoFinish()
    warnings: tuple[Notice, ...] = ()

    @property
    def model(self) -> str:
        """The video model."""
        return self.generation.model

    @property
    def prompt(self) -> str:
        """What the video is to show."""
        return self.generation.prompt

    @property
    def negative_prompt(self) -> str | None:
        """What it is not to show."""
        return self.generation.negative_prompt

    @property
    @override
    def stages(self) -> tuple[str, ...]:
        generated = (IMAGE_STAGE,) if self.image else ()
        made = (self.stage_of(GENERATE_STAGE, i) for i in range(self.count))
        finished = (self.stage_of(n, i) for i in range(self.count) for n in self.finish.stages)
        return (*generated, *made, *finished)

    @override
    def weight_of(self, stage: str) -> float:
        is_made = stage.startswith(GENERATE_STAGE)
        return GENERATE_WEIGHT if is_made else weight_of(stage)

    def stage_of(self, name: str, index: int) -> str:
        """The stage of a video; each has its own, so that what is finished of it is kept."""
        return name if self.count == 1 else f"{name}-{index + 1}"


ProduceVideoEvent = Progress | Videos
