"""video-generation: a film as it was asked for, from the still it begins with to its finish."""

from collections.abc import AsyncGenerator

from serve_app.core.images import ImageModel, Images, TextToImage
from serve_app.core.media import Blob
from serve_app.core.stages import Stage, result_of
from serve_app.core.video import GeneratedVideo, VideoModel
from serve_app.core.video_generation import (
    PICTURE_STAGE,
    ProduceVideo,
    ProduceVideoEvent,
    Videos,
)


class VideoGeneration:
    """A VideoProducer. Every film is a stage of its own, so that a job that is resumed keeps those
    that were finished.
    """

    def __init__(self, images: ImageModel, video: VideoModel, stage: Stage) -> None:
        self._images = images
        self._video = video
        self._stage = stage

    async def produce_video(self, request: ProduceVideo) -> AsyncGenerator[ProduceVideoEvent]:
        """See VideoProducer. A stage that fails is named in its error."""
        warnings = list(request.warnings)
        stills: list[Blob | None] = [request.generation.image] * request.count
        if request.picture is not None:
            drawn = await self._drawn(request.picture)
            stills = [image.image for image in drawn.images]
            warnings += drawn.warnings
        films = [await self._generated(request, i, still) for i, still in enumerate(stills)]
        warnings += [text for film in films for text in film.warnings]
        yield Videos(videos=tuple(films), warnings=tuple(dict.fromkeys(warnings)))

    async def _drawn(self, picture: TextToImage) -> Images:
        return await self._stage(
            PICTURE_STAGE,
            lambda: result_of(
                self._stage, PICTURE_STAGE, self._images.text_to_image(picture), Images
            ),
        )

    async def _generated(
        self, request: ProduceVideo, index: int, still: Blob | None
    ) -> GeneratedVideo:
        name = request.generate_stage(index)
        changes = {"seed": request.generation.seed + index, "image": still}
        generation = request.generation.model_copy(update=changes)
        return await self._stage(
            name,
            lambda: result_of(
                self._stage, name, self._video.generate_video(generation), GeneratedVideo
            ),
        )
