"""image-to-video: a prompt drawn as an image, the image animated, the video finished."""

from collections.abc import AsyncGenerator

from pipelines.video_finishing import VideoFinishing
from pipelines.video_parts import VideoParts, drawn, generated
from serve_app.core.stages import Stage
from serve_app.core.video.image_to_video import (
    IMAGE_STAGE,
    VIDEO_STAGE,
    AnimatedPrompt,
    AnimatePrompt,
    AnimatePromptEvent,
)


class ImageToVideo:
    """A PromptAnimator."""

    def __init__(self, parts: VideoParts, stage: Stage) -> None:
        self._parts = parts
        self._stage = stage

    async def animate_prompt(self, request: AnimatePrompt) -> AsyncGenerator[AnimatePromptEvent]:
        """See PromptAnimator. A stage that fails is named in its error."""
        images = await drawn(self._parts, self._stage, IMAGE_STAGE, request.image)
        image = images.images[0]
        generation = request.generation.model_copy(update={"image": image.image})
        made = await generated(self._parts, self._stage, VIDEO_STAGE, generation)
        finishing = VideoFinishing(self._parts, self._stage, request.finish)
        finished = await finishing.finished(made)
        warnings = (*request.warnings, *images.warnings, *made.warnings, *finished.warnings)
        yield AnimatedPrompt(
            image=image, video=finished.video, warnings=tuple(dict.fromkeys(warnings))
        )
