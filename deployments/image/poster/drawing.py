"""One poster model: its fonts, what they know of prompts, and images of requests, layer by layer.
Everything here blocks.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from PIL import Image

from deployments.image.poster.composition import PosterPainter
from deployments.image.poster.glyphs import SymbolFont
from deployments.image.poster.pictures import varied, with_pictures
from deployments.image.poster.prompts import Poster, poster_of
from deployments.image.poster.vocabulary import Vocabulary
from deployments.media.image_sources import ImageSource
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.images import ImageGeneration, ImageToImage, Inpaint

SIDE_PX = 512
"""Where a request leaves the size open."""
FONTS = (".ttf", ".otf")
REMEMBERED = 64


class PosterModel:
    """Used in one thread at a time."""

    def __init__(self, model: Model, path: Path) -> None:
        symbols, text = _fonts(model, path)
        try:
            font = SymbolFont(symbols)
            self._painter = PosterPainter(font, text)
        except OSError as error:
            raise BackendUnavailable(
                f"model {model.id!r} cannot be loaded: {symbols.name!r} is no font",
                remedy="set its source to a directory with a font of emoji (.ttf)",
            ) from error
        vocabulary = Vocabulary(font.has)
        if not len(vocabulary):
            raise BackendUnavailable(
                f"model {model.id!r} has no symbols in {symbols.name!r}",
                remedy="set its source to a directory with a font of emoji (.ttf)",
            )
        self._read = lru_cache(REMEMBERED)(
            lambda prompt, negative: poster_of(prompt, negative, vocabulary)
        )

    def poster(self, request: ImageGeneration) -> Poster:
        """What the prompt names."""
        return self._read(request.prompt, request.negative_prompt or "")

    def layers(
        self,
        request: ImageGeneration,
        number: int,
        source: ImageSource | None,
        shown: list[Image.Image],
    ) -> Iterator[Image.Image]:
        """Image `number` of a request as it grows; the last one is whole, and of its size. What is
        `shown` are the references.
        """
        poster, seed = self.poster(request), request.seed + number
        strength = request.references.strength if request.references else 0.0
        if source is None or not isinstance(request, ImageToImage):
            size = request.size
            pair = (size.width, size.height) if size else (SIDE_PX, SIDE_PX)
            under = Image.new("RGB", pair), 1.0
            for layer in self._painter.painted(poster, request.prompt, pair, seed, under):
                yield with_pictures(layer, shown, strength)
            return
        canvas, box = source.image.convert("RGB"), _edited(request, source)
        part = canvas.crop(box)
        for layer in self._edits(poster, request, part, seed):
            made = canvas.copy()
            made.paste(with_pictures(layer, shown, strength), box)
            yield source.finished(made)

    def _edits(
        self, poster: Poster, request: ImageToImage, part: Image.Image, seed: int
    ) -> Iterator[Image.Image]:
        if not request.prompt.strip():
            yield varied(part, request.strength, seed)
            return
        under = part, request.strength
        yield from self._painter.painted(poster, request.prompt, part.size, seed, under)


def _edited(request: ImageToImage, source: ImageSource) -> tuple[int, int, int, int]:
    """Where the poster is: all of the image, or what the mask selects."""
    whole = (0, 0, *source.image.size)
    if not isinstance(request, Inpaint) or source.mask is None:
        return whole
    return source.mask.getbbox() or whole


def _fonts(model: Model, path: Path) -> tuple[Path, Path | None]:
    """The font of symbols, and the one of letters, if there is one."""
    if path.is_file():
        return path, None
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in FONTS)
    symbols = [file for file in files if "emoji" in file.name.lower()] or files
    if not symbols:
        raise BackendUnavailable(
            f"model {model.id!r} has no font",
            remedy="set its source to a directory with a font of emoji (.ttf)",
        )
    return symbols[0], next((file for file in files if file not in symbols), None)
