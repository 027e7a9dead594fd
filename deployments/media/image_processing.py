"""Images through their steps by Pillow: decoded once, encoded once. Everything here blocks."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from deployments.media.image_decoding import DecodedImage, check_pixels, decoded_image
from deployments.media.processed_image_files import check_sides, save
from deployments.media.watermarks import placed, prepared_mark
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.image_processing import ProcessImage
from serve_app.core.image.images import Size
from serve_app.core.image.processing_steps import CropStep, ScaleStep, WatermarkStep
from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice

Stop = Callable[[], bool]
RESAMPLING = {"smooth": Image.Resampling.LANCZOS, "nearest": Image.Resampling.NEAREST}


class ProcessedImageFile(Message):
    """What is known of a file that was written."""

    size: Size
    warnings: tuple[Notice, ...] = ()


def processed_image(
    paths: Sequence[Path], target: Path, request: ProcessImage, stop: Stop
) -> Iterator[Progress | ProcessedImageFile]:
    """Progress in steps, last what was written to `target`; ends early when told to stop.

    `paths` are the image and the watermarks of the steps in their order. InvalidRequest and
    PayloadTooLarge with `param` `image` or `steps[i]` and what is in it.
    """
    image, *marks = paths
    decoded = decoded_image(image, param="image", max_pixels=request.max_pixels)
    pixels, warnings = with_alpha(decoded), [*decoded.warnings]
    check_steps(request, pixels.size)
    for number, step in enumerate(request.steps):
        yield Progress(phase="process", current=number, total=len(request.steps))
        if stop():
            return
        match step:
            case ScaleStep():
                pixels = pixels.resize(scaled_size(pixels.size, step), RESAMPLING[step.resampling])
            case CropStep():
                pixels = pixels.crop(_box(step))
            case WatermarkStep():
                param = f"steps[{number}].image"
                mark = prepared_mark(
                    marks.pop(0), step, pixels.size, param=param, max_pixels=request.max_pixels
                )
                warnings += mark.warnings
                pixels = _marked(pixels, mark.image, placed(mark.image.size, pixels.size, step))
    save(pixels, target, request.format, colours=decoded.colours)
    yield Progress(phase="process", current=len(request.steps), total=len(request.steps))
    size = Size(width=pixels.width, height=pixels.height)
    yield ProcessedImageFile(size=size, warnings=tuple(dict.fromkeys(warnings)))


def check_steps(request: ProcessImage, size: tuple[int, int]) -> None:
    """InvalidRequest and PayloadTooLarge for what cannot be done to an image of this size, before
    any of it is.
    """
    for number, step in enumerate(request.steps):
        param = f"steps[{number}]"
        if isinstance(step, ScaleStep):
            size = scaled_size(size, step)
            check_pixels(*size, param=param, max_pixels=request.max_pixels)
        elif isinstance(step, CropStep):
            check_crop(step, size, param=param)
            size = step.width, step.height
    check_sides(size, request)


def check_crop(step: CropStep, size: tuple[int, int], *, param: str) -> None:
    """InvalidRequest for pixels that are not there."""
    if step.x + step.width > size[0] or step.y + step.height > size[1]:
        raise InvalidRequest(
            f"a crop of {step.width}x{step.height} at {step.x},{step.y} is not within the "
            f"{size[0]}x{size[1]} pixels of the source",
            param=param,
        )


def scaled_size(size: tuple[int, int], step: ScaleStep) -> tuple[int, int]:
    """What becomes of a size; no side is less than a pixel."""
    width, height = size
    if step.width is not None and step.height is not None:
        return step.width, step.height
    if not step.keeps_ratio:
        return step.width or width, step.height or height
    if step.width is not None:
        return step.width, max(1, round(height * step.width / width))
    wanted = step.height or height
    return max(1, round(width * wanted / height)), wanted


def with_alpha(decoded: DecodedImage) -> Image.Image:
    """RGB, or RGBA where it is not opaque."""
    if decoded.alpha is None:
        return decoded.image
    image = decoded.image.copy()
    image.putalpha(decoded.alpha)
    return image


def _box(step: CropStep) -> tuple[int, int, int, int]:
    return step.x, step.y, step.x + step.width, step.y + step.height


def _marked(pixels: Image.Image, mark: Image.Image, place: tuple[int, int]) -> Image.Image:
    marked: Image.Image = pixels.copy()
    if marked.mode == "RGBA":
        marked.alpha_composite(mark, dest=place)
    else:
        marked.paste(mark, place, mark)
    return marked
