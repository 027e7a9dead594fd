"""video-generation: a film as it was asked for, from the still it begins with to its finish."""

from collections.abc import AsyncGenerator

from pipelines.film_finishing import FilmFinishing
from pipelines.film_parts import FilmParts, drawn, generated
from serve_app.core.media import Blob
from serve_app.core.stages import Stage
from serve_app.core.video import GeneratedVideo
from serve_app.core.video_generation import (
    GENERATE_STAGE,
    PICTURE_STAGE,
    ProduceVideo,
    ProduceVideoEvent,
    Videos,
)


class VideoGeneration:
    """A VideoProducer. Every film is a stage of its own, so that a job that is resumed keeps those
    that were finished.
    """

    def __init__(self, parts: FilmParts, stage: Stage) -> None:
        self._parts = parts
        self._stage = stage

    async def produce_video(self, request: ProduceVideo) -> AsyncGenerator[ProduceVideoEvent]:
        """See VideoProducer. A stage that fails is named in its error."""
        warnings = list(request.warnings)
        stills: list[Blob | None] = [request.generation.image] * request.count
        if request.picture is not None:
            images = await drawn(self._parts, self._stage, PICTURE_STAGE, request.picture)
            stills = [image.image for image in images.images]
            warnings += images.warnings
        films = [await self._generated(request, i, still) for i, still in enumerate(stills)]
        warnings += [text for film in films for text in film.warnings]
        done = [await self._finishing(request, i).finished(film) for i, film in enumerate(films)]
        warnings += [text for finished in done for text in finished.warnings]
        yield Videos(
            videos=tuple(finished.film for finished in done),
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

    def _finishing(self, request: ProduceVideo, index: int) -> FilmFinishing:
        return FilmFinishing(
            self._parts, self._stage, request.finish, named=lambda n: request.stage_of(n, index)
        )
