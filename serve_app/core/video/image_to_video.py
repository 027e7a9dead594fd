"""The image-to-video pipeline's messages: an image is generated and animated."""

from typing import ClassVar

from typing_extensions import override

from serve_app.core.image.images import Image, TextToImage
from serve_app.core.media import MediaFacts, MediaResult
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.video.finishing import VideoFinish, weight_of
from serve_app.core.video.generation import GeneratedVideo, GenerateVideo

IMAGE_STAGE, VIDEO_STAGE = "image", "video"
WEIGHTS = {IMAGE_STAGE: 2.0, VIDEO_STAGE: 6.0}


class AnimatedPrompt(MediaResult):
    """The image, and the video that begins with it."""

    image: Image
    video: GeneratedVideo

    @override
    def facts(self) -> dict[str, MediaFacts]:
        generated = self.image
        of_image = MediaFacts(
            seed=generated.seed, width=generated.size.width, height=generated.size.height
        )
        return {generated.image.sha256: of_image} | self.video.facts()


class AnimatePrompt(PipelineOperation[AnimatedPrompt]):
    """Generate `image`, make a video of it as `generation` says, and finish that. `warnings` are
    known before the work.
    """

    name = "pipeline.image-to-video"

    pipeline: ClassVar[str] = "image-to-video"

    image: TextToImage
    generation: GenerateVideo
    finish: VideoFinish = VideoFinish()
    warnings: tuple[Notice, ...] = ()

    @property
    def model(self) -> str:
        """The video model."""
        return self.generation.model

    @property
    def prompt(self) -> str:
        """What is generated, and what the video shows."""
        return self.image.prompt

    @property
    def negative_prompt(self) -> str | None:
        """What is not to be seen."""
        return self.image.negative_prompt

    @property
    @override
    def stages(self) -> tuple[str, ...]:
        return (IMAGE_STAGE, VIDEO_STAGE, *self.finish.stages)

    @override
    def weight_of(self, stage: str) -> float:
        return WEIGHTS.get(stage) or weight_of(stage)


AnimatePromptEvent = Progress | AnimatedPrompt
