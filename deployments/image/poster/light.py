"""Light and shadow around the figures of a poster, painted into the image in place."""

from PIL import Image, ImageChops, ImageDraw, ImageFilter

Pair = tuple[int, int]
EDGE = 179
"""The level of Pillow's radial gradient in the middle of each side."""
SHADE, SHADE_LEVEL = (16, 18, 44), 84
PALE, PALE_SHARE = (190, 202, 240), 0.5
FINER = 4


def glow(image: Image.Image, middle: Pair, side: int, opacity: float) -> None:
    """Warm light around a place; the light reaches as far as half as much again as `side`."""
    reach = 3 * side
    # Pillow's gradient is black in the middle.
    fading = [round(255 * max(0, 1 - level / EDGE) ** 2) for level in range(256)]
    light = Image.radial_gradient("L").point(fading)
    light = light.resize((reach, reach))
    box = (middle[0] - reach // 2, middle[1] - reach // 2)
    around = image.crop((*box, box[0] + reach, box[1] + reach))
    warm = Image.new("RGB", around.size, (255, 196, 96))
    shining = Image.blend(around, ImageChops.screen(around, warm), 0.75 * opacity)
    image.paste(Image.composite(shining, around, light), box)


def shadow(image: Image.Image, corner: Pair, width: int, opacity: float) -> None:
    """On the ground under feet that reach so far to the right of this corner."""
    wide, high = max(2, round(1.1 * width)), max(2, round(0.16 * width))
    oval = Image.new("L", (FINER * wide, FINER * high))
    ImageDraw.Draw(oval).ellipse(
        (0, 0, oval.width - 1, oval.height - 1), round(SHADE_LEVEL * opacity)
    )
    place = (corner[0] + (width - wide) // 2, corner[1] - round(0.6 * high))
    image.paste(SHADE, place, oval.reduce(FINER))


def halo(image: Image.Image, corner: Pair, shape: Image.Image, opacity: float) -> None:
    """A pale light around a figure whose upper left corner that is; `shape` is its opacity."""
    reach = max(1, max(shape.size) // 24)
    wider = Image.new("L", (shape.width + 4 * reach, shape.height + 4 * reach))
    wider.paste(shape, (2 * reach, 2 * reach))
    soft = wider.filter(ImageFilter.GaussianBlur(reach))
    level = PALE_SHARE * opacity
    mask = soft.point([round(min(255, 2 * value) * level) for value in range(256)])
    image.paste(PALE, (corner[0] - 2 * reach, corner[1] - 2 * reach), mask)
