"""Images that a poster is given: varied, or shown in it as small framed pictures."""

import random

from PIL import Image, ImageEnhance, ImageOps

FRAME = (250, 246, 236)
SHARE, GAP = 0.26, 0.03
"""The longer side of a picture, and the space around it, as shares of the poster's shorter side."""
ZOOM, CHANGE = 0.25, 0.5
"""How far a variation is enlarged and its colours change at most."""


def with_pictures(image: Image.Image, pictures: list[Image.Image], strength: float) -> Image.Image:
    """The pictures side by side in the lower corner, the more opaque the greater `strength` is."""
    if not pictures or not strength:
        return image
    shown = image.copy()
    shorter = min(image.size)
    side, gap = max(1, round(SHARE * shorter)), round(GAP * shorter)
    left = gap
    for picture in pictures:
        small = ImageOps.contain(picture.convert("RGB"), (side, side))
        framed = ImageOps.expand(small, max(1, side // 20), FRAME)
        shown.paste(framed, (left, image.height - gap - framed.height))
        left += framed.width + gap
    return Image.blend(image, shown, strength)


def varied(image: Image.Image, strength: float, seed: int) -> Image.Image:
    """The same image seen a little nearer, mirrored perhaps, in other colours; none of it with a
    strength of 0.
    """
    chance = random.Random(seed)
    nearer = strength * ZOOM * chance.random()
    width, height = image.size
    left, top = width * nearer * chance.random(), height * nearer * chance.random()
    box = (left, top, left + width * (1 - nearer), top + height * (1 - nearer))
    made = image if not nearer else image.resize(image.size, Image.Resampling.BICUBIC, box)
    if strength > 0.5 and chance.random() < 0.5:
        made = ImageOps.mirror(made)
    for change in (ImageEnhance.Color, ImageEnhance.Brightness, ImageEnhance.Contrast):
        made = change(made).enhance(1 + strength * CHANGE * chance.uniform(-1, 1))
    return made
