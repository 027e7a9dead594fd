"""Masks of images that are edited in part: which part, how soft its edges are, what fills it.

Imported only where images are generated. Everything here blocks.
"""

import random

from PIL import Image, ImageChops, ImageFilter, ImageOps

from deployments.media.image_decoding import DecodedImage
from serve_app.core.image.images import Inpaint, MaskFill

HALF = 128
BLURS = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))
"""Radius, and how often it is laid over: from the colours far away to those next to the part."""

Box = tuple[int, int, int, int]
Pair = tuple[int, int]


def mask_of(request: Inpaint, mask: DecodedImage) -> Image.Image:
    """White where it is edited, of the mask's own size."""
    selected = selection(mask) if request.mask_reading == "transparency" else _brightness(mask)
    if request.rounds_mask:
        selected = selected.point(lambda value: 255 if value >= HALF else 0)
    if request.inverts_mask:
        selected = ImageChops.invert(selected)
    if any(request.mask_blur):
        selected = selected.filter(ImageFilter.GaussianBlur(request.mask_blur))
    return selected


def selection(mask: DecodedImage) -> Image.Image:
    """White where it is edited: what is transparent, or, in an opaque mask, what is bright."""
    if mask.alpha is not None and mask.alpha.getextrema() != (255, 255):
        return ImageChops.invert(mask.alpha)
    return _brightness(mask)


def _brightness(mask: DecodedImage) -> Image.Image:
    return mask.image.convert("L")


def region_of(mask: Image.Image, padding: int, size: Pair) -> Box:
    """The part that is edited with the pixels around it, wider or higher until it has the
    proportions of `size`, as far as the image goes.
    """
    box = mask.getbbox() or (0, 0, *mask.size)
    left, top = max(0, box[0] - padding), max(0, box[1] - padding)
    right, bottom = min(mask.width, box[2] + padding), min(mask.height, box[3] + padding)
    ratio = size[0] / size[1]
    if (right - left) / (bottom - top) > ratio:
        top, bottom = _grown(top, bottom, round((right - left) / ratio), mask.height)
    else:
        left, right = _grown(left, right, round((bottom - top) * ratio), mask.width)
    return left, top, right, bottom


def _grown(start: int, end: int, wanted: int, most: int) -> Pair:
    """To both sides, and to one where the other is at the edge."""
    length = min(most, max(end - start, wanted))
    begin = min(max(0, start - (length - (end - start)) // 2), most - length)
    return begin, begin + length


def filled(image: Image.Image, mask: Image.Image, fill: MaskFill, *, seed: int) -> Image.Image:
    """The image with what is edited filled, as pixels."""
    match fill:
        case "original":
            return image
        case "surroundings":
            return _surroundings(image, mask)
        case "noise":
            noise = random.Random(seed).randbytes(3 * image.width * image.height)
            return Image.composite(Image.frombytes("RGB", image.size, noise), image, mask)
        case "nothing":
            return Image.composite(Image.new("RGB", image.size, (127, 127, 127)), image, mask)


def _surroundings(image: Image.Image, mask: Image.Image) -> Image.Image:
    """What is around the part, blurred into it: the less, the nearer it is."""
    outside = Image.new("RGBa", image.size)
    outside.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask))
    result = Image.new("RGBA", image.size)
    for radius, times in BLURS:
        blurred = outside.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            result.alpha_composite(blurred)
    return result.convert("RGB")
