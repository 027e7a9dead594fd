"""Images of which it is known where everything is: objects on a meadow, and drawn faces."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Array = np.ndarray[Any, np.dtype[Any]]
BACKDROP = (90, 110, 130)
FAIR, TANNED = (240, 200, 180), (214, 170, 140)


def png_of(image: Image.Image, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, "PNG", **options)
    return target.getvalue()


def objects(width: int = 320, height: int = 240) -> tuple[Image.Image, Image.Image, Image.Image]:
    """A red disc and a yellow triangle on noisy grey-green, and the mask of each."""
    noise = np.random.default_rng(0)
    meadow = np.full((height, width, 3), (80.0, 110.0, 100.0))
    meadow[..., 0] += 30 * np.linspace(0, 1, width)
    image = Image.fromarray(_noisy(meadow, 8, noise))
    disc, triangle = Image.new("L", image.size), Image.new("L", image.size)
    w, h = width, height
    ImageDraw.Draw(disc).ellipse((0.12 * w, 0.2 * h, 0.42 * w, 0.75 * h), fill=255)
    corners = [(0.6 * w, 0.8 * h), (0.75 * w, 0.25 * h), (0.9 * w, 0.8 * h)]
    ImageDraw.Draw(triangle).polygon(corners, fill=255)
    for mask, colour in ((disc, (200, 60, 50)), (triangle, (230, 210, 90))):
        plain = np.full((height, width, 3), np.float64(colour))
        image.paste(Image.fromarray(_noisy(plain, 14, noise)), mask=mask)
    return image.filter(ImageFilter.GaussianBlur(1)), disc, triangle


def overlap(one: Image.Image, other: Image.Image) -> float:
    """Intersection over union of two masks."""
    first, second = np.asarray(one) > 127, np.asarray(other) > 127
    return float((first & second).sum() / max(1, (first | second).sum()))


def face(side: int, skin: tuple[int, int, int] = TANNED) -> Image.Image:
    """A face from the front that fills a square image; the cascades find it and its eyes."""
    s = 4 * side
    image = Image.new("RGB", (s, s), BACKDROP)
    draw = ImageDraw.Draw(image)

    def oval(x: float, y: float, half_x: float, half_y: float, fill: Any) -> None:
        draw.ellipse((s * (x - half_x), s * (y - half_y), s * (x + half_x), s * (y + half_y)), fill)

    dark, shade, light = (tuple(min(255, int(v * f)) for v in skin) for f in (0.3, 0.62, 1.15))
    oval(0.5, 0.44, 0.37, 0.42, dark)
    oval(0.5, 0.53, 0.31, 0.40, skin)
    for x in (0.37, 0.63):
        oval(x, 0.44, 0.095, 0.05, shade)
        oval(x, 0.445, 0.065, 0.028, (235, 235, 235))
        oval(x, 0.445, 0.028, 0.03, (30, 25, 20))
        brow = (s * (x - 0.085), s * 0.365, s * (x + 0.085), s * 0.39)
        draw.rounded_rectangle(brow, radius=s * 0.012, fill=dark)
        oval(x, 0.64, 0.06, 0.05, light)
    draw.polygon([(s * 0.5, s * 0.45), (s * 0.455, s * 0.62), (s * 0.545, s * 0.62)], fill=light)
    oval(0.47, 0.625, 0.018, 0.01, dark)
    oval(0.53, 0.625, 0.018, 0.01, dark)
    oval(0.5, 0.75, 0.11, 0.032, (150, 60, 60))
    draw.line((s * 0.4, s * 0.75, s * 0.6, s * 0.75), fill=(70, 20, 20), width=int(s * 0.008))
    blurred = image.filter(ImageFilter.GaussianBlur(s * 0.006))
    return blurred.resize((side, side), Image.Resampling.LANCZOS)


def portrait(
    size: tuple[int, int],
    *faces: tuple[int, int, int],
    skin: tuple[int, int, int] = TANNED,
) -> Image.Image:
    """Faces on a plain backdrop, each given by its left, top and side."""
    image = Image.new("RGB", size, BACKDROP)
    for left, top, side in faces:
        image.paste(face(side, skin), (left, top))
    return image


def _noisy(values: Array, strength: float, noise: np.random.Generator) -> Array:
    return (values + noise.normal(0, strength, values.shape)).clip(0, 255).astype(np.uint8)
