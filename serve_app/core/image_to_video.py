"""The image-to-video pipeline's messages: a prompt drawn as a picture, and the picture animated."""

from collections.abc import AsyncIterator
from typing import ClassVar, Protocol

from serve_app.core.film_finish import FilmFinish, weight_of
from serve_app.core.images import Image, TextToImage
from serve_app.core.media import Facts, MediaResult
from serve_app.core.message import Progress
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.video import GeneratedVideo, GenerateVideo

IMAGE_STAGE, VIDEO_STAGE = "image", "video"
WEIGHTS = {IMAGE_STAGE: 2.0, VIDEO_STAGE: 6.0}


class AnimatePrompt(PipelineOperation):
    """Draw `picture`, make a film of it as `generation` says, and finish that. `warnings` are known
    before the work.
    """

    pipeline: ClassVar[str] = "image-to-video"

    picture: TextToImage
    generation: GenerateVideo
    finish: FilmFinish = FilmFinish()
    warnings: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """The video model."""
        return self.generation.model

    @property
    def prompt(self) -> str:
        """What is drawn, and what the film shows."""
        return self.picture.prompt

    @property
    def negative_prompt(self) -> str | None:
        """What is not to be seen."""
        return self.picture.negative_prompt

    @property
    def stages(self) -> tuple[str, ...]:
        """See PipelineOperation."""
        return (IMAGE_STAGE, VIDEO_STAGE, *self.finish.stages)

    def weight_of(self, stage: str) -> float:
        """See PipelineOperation."""
        return WEIGHTS.get(stage) or weight_of(stage)


class AnimatedPrompt(MediaResult):
    """The picture, and the film that begins with it."""

    picture: Image
    film: GeneratedVideo

    def facts(self) -> dict[str, Facts]:
        """See MediaResult."""
        drawn = self.picture
        of_picture = Facts(seed=drawn.seed, width=drawn.size.width, height=drawn.size.height)
        return {drawn.image.sha256: of_picture} | self.film.facts()


AnimatePromptEvent = Progress | AnimatedPrompt


class PromptAnimator(Protocol):
    """Makes films of prompts by way of a picture."""

    def animate_prompt(self, request: AnimatePrompt) -> AsyncIterator[AnimatePromptEvent]:
        """Last the picture and the film. A finishing step that fails is told in the warnings."""
        ...
