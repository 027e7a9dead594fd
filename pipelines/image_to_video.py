"""image-to-video: a prompt drawn as a picture, the picture animated, the film finished."""

from collections.abc import AsyncGenerator

from pipelines.film_finishing import FilmFinishing
from pipelines.film_parts import FilmParts, drawn, generated
from serve_app.core.image_to_video import (
    IMAGE_STAGE,
    VIDEO_STAGE,
    AnimatedPrompt,
    AnimatePrompt,
    AnimatePromptEvent,
)
from serve_app.core.stages import Stage


class ImageToVideo:
    """A PromptAnimator."""

    def __init__(self, parts: FilmParts, stage: Stage) -> None:
        self._parts = parts
        self._stage = stage

    async def animate_prompt(self, request: AnimatePrompt) -> AsyncGenerator[AnimatePromptEvent]:
        """See PromptAnimator. A stage that fails is named in its error."""
        images = await drawn(self._parts, self._stage, IMAGE_STAGE, request.picture)
        picture = images.images[0]
        generation = request.generation.model_copy(update={"image": picture.image})
        made = await generated(self._parts, self._stage, VIDEO_STAGE, generation)
        finishing = FilmFinishing(self._parts, self._stage, request.finish)
        finished = await finishing.finished(made)
        warnings = (*request.warnings, *images.warnings, *made.warnings, *finished.warnings)
        yield AnimatedPrompt(
            picture=picture, film=finished.film, warnings=tuple(dict.fromkeys(warnings))
        )
