"""video-generation: a video as it was asked for, from the still it begins with to its finish."""

from collections.abc import AsyncGenerator

from pipelines.video_finishing import VideoFinishing
from pipelines.video_parts import VideoParts, drawn, generated
from serve_app.core.media import Blob
from serve_app.core.stages import Stage
from serve_app.core.video.generation import GeneratedVideo
from serve_app.core.video.production import (
    GENERATE_STAGE,
    IMAGE_STAGE,
    ProduceVideo,
    ProduceVideoEvent,
    Videos,
)


class VideoGeneration:
    """A VideoProducer. Every video is a stage of its own, so that a job that is resumed keeps those
    that were finished.
    """

    def __init__(self, parts: VideoParts, stage: Stage) -> None:
        self._parts = parts
        self._stage = stage

    async def produce_video(self, request: ProduceVideo) -> AsyncGenerator[ProduceVideoEvent]:
        """See VideoProducer. A stage that fails is named in its error."""
        warnings = list(request.warnings)
        stills: list[Blob | None] = [request.generation.image] * request.count
        if request.image is not None:
            images = await drawn(self._parts, self._stage, IMAGE_STAGE, request.image)
            stills = [image.image for image in images.images]
            warnings += images.warnings
        videos = [await self._generated(request, i, still) for i, still in enumerate(stills)]
        warnings += [text for video in videos for text in video.warnings]
        done = [await self._finishing(request, i).finished(video) for i, video in enumerate(videos)]
        warnings += [text for finished in done for text in finished.warnings]
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
        return await generated(self._parts, self._stage, name, generation)

    def _finishing(self, request: ProduceVideo, index: int) -> VideoFinishing:
        return VideoFinishing(
            self._parts, self._stage, request.finish, named=lambda n: request.stage_of(n, index)
        )
