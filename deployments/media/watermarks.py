"""Watermarks for images and videos: made ready, and where they go. Everything here blocks."""

from pathlib import Path
from typing import NamedTuple

from PIL import Image

from deployments.media.image_decoding import decoded_image
from serve_app.core.image.processing_steps import MARGIN_PX, WatermarkStep
from serve_app.core.notices import Notice

Pair = tuple[int, int]


class Mark(NamedTuple):
    """`image` is RGBA in the size in which it is seen, with its opacity."""

    image: Image.Image
    warnings: tuple[Notice, ...] = ()


def prepared_mark(
    path: Path, step: WatermarkStep, size: Pair, *, param: str, max_pixels: int
) -> Mark:
    """The watermark of a step over an image of a size, in which it fits. InvalidRequest and
    PayloadTooLarge with `param` for a file that cannot be used.
    """
    decoded = decoded_image(path, param=param, max_pixels=max_pixels)
    image = decoded.image.convert("RGBA")
    if decoded.alpha is not None:
        image.putalpha(decoded.alpha)
    wanted = (image.width * step.scale, image.height * step.scale)
    fit = min(1.0, size[0] / wanted[0], size[1] / wanted[1])
    width, height = (max(1, round(side * fit)) for side in wanted)
    pair = min(width, size[0]), min(height, size[1])
    if pair != image.size:
        image = image.resize(pair, Image.Resampling.LANCZOS)
    if step.opacity < 1:
        image.putalpha(image.getchannel("A").point(lambda value: round(value * step.opacity)))
    warnings = decoded.warnings
    if fit < 1:
        said = f"shrunk to {pair[0]}x{pair[1]} to fit into {size[0]}x{size[1]}"
        warnings += (Notice(field=param, text=said),)
    return Mark(image, warnings)


def placed(mark: Pair, size: Pair, step: WatermarkStep) -> Pair:
    """Where the top left of a mark goes; the margin is smaller where there is no room for it."""
    row, _, column = step.position.partition("_")
    if step.position == "center":
        return (size[0] - mark[0]) // 2, (size[1] - mark[1]) // 2
    right, bottom = size[0] - mark[0], size[1] - mark[1]
    x, y = min(MARGIN_PX, right), min(MARGIN_PX, bottom)
    return (right - x if column == "right" else x), (bottom - y if row == "bottom" else y)
