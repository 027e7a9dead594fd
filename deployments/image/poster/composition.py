"""A poster painted: the backdrop, the figures from behind to front, what falls before them, or the
prompt as a title. Everything here blocks.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from deployments.image.poster.backdrops import backdrop, weathered
from deployments.image.poster.glyphs import SymbolFont
from deployments.image.poster.layout import placed
from deployments.image.poster.light import glow, halo, shadow
from deployments.image.poster.prompts import Poster
from deployments.image.poster.spacing import Pair, Placed

INK, PAPER = (40, 38, 60), (252, 248, 238)
TITLE_MOST = 240
"""Characters of a title."""
SMALLEST_PX, LARGEST_SHARE = 9, 0.16
Stop = Callable[[], bool]


class PosterPainter:
    """The fonts of one model. `text_font` None is Pillow's own."""

    def __init__(self, symbols: SymbolFont, text_font: Path | None) -> None:
        self._symbols = symbols
        self._text_font = text_font

    def painted(
        self, poster: Poster, title: str, size: Pair, seed: int, under: tuple[Image.Image, float]
    ) -> Iterator[Image.Image]:
        """The image after each layer, last the whole; RGB. `under` is an image of this size that
        shows through the backdrop, and how much of it is replaced.
        """
        source, strength = under
        image = Image.blend(source, backdrop(poster, size, seed), strength)
        yield image
        if poster.is_empty and not title.strip():
            return
        if poster.is_empty:
            yield self._titled(image, title, strength)
            return
        # A thing that is asked for is whole long before nothing of the image is left.
        opacity = min(1.0, 2 * strength)
        for figure in placed(poster, size, seed):
            self._put(image, figure, opacity)
            yield image
        falling = weathered(image.copy(), poster.weather, seed)
        yield Image.blend(image, falling, strength)

    def _put(self, image: Image.Image, figure: Placed, opacity: float) -> None:
        made = self._symbols.figure(figure.symbol, figure.side, figure.colour)
        if figure.is_mirrored:
            made = ImageOps.mirror(made)
        left, top = round(figure.x - made.width / 2), round(figure.foot - made.height)
        if figure.glows:
            glow(image, (round(figure.x), top + made.height // 2), figure.side, opacity)
        if figure.casts_shadow:
            feet = _feet(made)
            shadow(image, (left + feet[0], round(figure.foot)), feet[1] - feet[0], opacity)
        if figure.is_lit:
            halo(image, (left, top), made.getchannel("A"), opacity)
        mask = made.getchannel("A").point([round(level * opacity) for level in range(256)])
        image.paste(made.convert("RGB"), (left, top), mask)

    def _titled(self, image: Image.Image, title: str, strength: float) -> Image.Image:
        words = " ".join(title.split())[:TITLE_MOST]
        whole = image.copy()
        draw = ImageDraw.Draw(whole)
        width, height = image.size
        pixels = max(SMALLEST_PX, round(LARGEST_SHARE * min(image.size)))
        while True:
            font = self._font(pixels)
            lines = "\n".join(_wrapped(words, font.getlength, 0.84 * width))
            box = draw.multiline_textbbox((0, 0), lines, font, align="center", spacing=pixels / 3)
            fits = box[2] - box[0] <= 0.9 * width and box[3] - box[1] <= 0.8 * height
            if fits or pixels <= SMALLEST_PX:
                break
            pixels = max(SMALLEST_PX, pixels * 9 // 10)
        draw.multiline_text(
            (width / 2, height / 2), lines, INK, font, anchor="mm", align="center",
            spacing=pixels / 3, stroke_width=max(1, pixels // 16), stroke_fill=PAPER,
        )  # fmt: skip
        return Image.blend(image, whole, min(1.0, 2 * strength))

    def _font(self, pixels: int) -> ImageFont.FreeTypeFont:
        if self._text_font is not None:
            return ImageFont.truetype(str(self._text_font), pixels)
        font = ImageFont.load_default(pixels)
        assert isinstance(font, ImageFont.FreeTypeFont)
        return font


def _feet(figure: Image.Image) -> Pair:
    """From where to where it stands on the ground."""
    low = figure.getchannel("A").crop((0, figure.height * 7 // 8, figure.width, figure.height))
    left, _, right, _ = low.getbbox() or (0, 0, figure.width, 0)
    return left, right


def _wrapped(text: str, length: Callable[[str], float], width: float) -> Iterator[str]:
    """Lines of whole words; what is longer than a line, as a word, is cut."""
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}".strip()
        if line and length(longer) > width:
            yield line
            longer = word
        while length(longer) > width and len(longer) > 1:
            part = max(1, int(len(longer) * width / length(longer)))
            yield longer[:part]
            longer = longer[part:]
        line = longer
    yield line
