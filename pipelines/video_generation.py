"""video-generation: a video as it was asked for, from the still it begins with to its finish."""

from collections.abc import AsyncGenerator

from pipelines.video_finishing import VideoFinishing
from serve_app.core.media import Blob, BlobStore
from serve_app.core.stages import Stages
from serve_app.core.video.generation import GeneratedVideo
from serve_app.core.video.production import (
    GENERATE_STAGE,
    IMAGE_STAGE,
    ProduceVideo,
    ProduceVideoEvent,
    Videos,
)


class VideoGeneration:
    """Every video is a stage of its own, so that a job that is resumed keeps those
    that were finished.
    """

    operation = ProduceVideo

    def __init__(self, stage: Stages, blobs: BlobStore) -> None:
        self._stage = stage
        self._blobs = blobs

    async def run(self, request: ProduceVideo) -> AsyncGenerator[ProduceVideoEvent]:
        """The videos. A finishing step that fails is told in the warnings."""
        warnings = list(request.warnings)
        stills: list[Blob | None] = [request.generation.image] * request.count
        if request.image is not None:
            images = await self._stage.run(IMAGE_STAGE, request.image)
            stills = [image.image for image in images.images]
            warnings += images.warnings
        videos = [await self._generated(request, i, still) for i, still in enumerate(stills)]
        warnings += [notice for video in videos for notice in video.warnings]
        done = [await self._finishing(request, i).finished(video) for i, video in enumerate(videos)]
        warnings += [notice for finished in done for notice in finished.warnings]
        yield Videos(
            videos=tuple(finished.video for finished in done),
            subtitles=tuple(finished.subtitles for finished in done),
            warnings=tuple(dict.fromkeys(warnings)),
        )

    async def _generated(
        self, request: ProduceVideo, index: int, still: Blob | None
    ) -> GeneratedVideo:
        name = request.stage_of(GENERATE_STAGE, index)
        changes = {"seed": request.generation.seed + index, "image": still}
        generation = request.generation.model_copy(update=changes)
        return await self._stage.run(name, generation)

    def _finishing(self, request: ProduceVideo, index: int) -> VideoFinishing:
        return VideoFinishing(
            self._stage, self._blobs, request.finish, named=lambda n: request.stage_of(n, index)
        )
