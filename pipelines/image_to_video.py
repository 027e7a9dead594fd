"""image-to-video: an image generated from a prompt, the image animated, the video finished."""

from collections.abc import AsyncGenerator

from pipelines.video_finishing import VideoFinishing
from serve_app.core.media import BlobStore
from serve_app.core.stages import Stages
from serve_app.core.video.image_to_video import (
    IMAGE_STAGE,
    VIDEO_STAGE,
    AnimatedPrompt,
    AnimatePrompt,
    AnimatePromptEvent,
)


class ImageToVideo:
    """The image is the video's first frame."""

    operation = AnimatePrompt

    def __init__(self, stage: Stages, blobs: BlobStore) -> None:
        self._stage = stage
        self._blobs = blobs

    async def run(self, request: AnimatePrompt) -> AsyncGenerator[AnimatePromptEvent]:
        """The image and the video. A finishing step that fails is told in the warnings."""
        images = await self._stage.run(IMAGE_STAGE, request.image)
        image = images.images[0]
        generation = request.generation.model_copy(update={"image": image.image})
        made = await self._stage.run(VIDEO_STAGE, generation)
        finishing = VideoFinishing(self._stage, self._blobs, request.finish)
        finished = await finishing.finished(made)
        warnings = (*request.warnings, *images.warnings, *made.warnings, *finished.warnings)
        yield AnimatedPrompt(
            image=image, video=finished.video, warnings=tuple(dict.fromkeys(warnings))
        )
