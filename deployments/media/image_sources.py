"""Images to edit: cut to size, masked, and put together again with what was generated.

Imported only where images are generated. Everything here blocks.
"""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageOps

from deployments.media.image_decoding import DecodedImage, decoded_image
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import ImageToImage, Size

SIDE_PX = range(16, 4097)
"""Of images that are edited at their own size."""

NOTHING = "mask: nothing is selected, so nothing is edited"

Pair = tuple[int, int]


@dataclass(frozen=True)
class ImageSource:
    """An image to edit. `image` is RGB, `mask` is L, white where it is edited; both have
    a size that the model can generate. `size` is the result's, the upper left part of it.
    """

    image: Image.Image
    mask: Image.Image | None
    size: Pair

    def finished(self, generated: Image.Image) -> Image.Image:
        """The result of its size: outside the mask, every pixel is the source's own."""
        box = (0, 0, *self.size)
        result = generated.convert("RGB").crop(box)
        if self.mask is None:
            return result
        return Image.composite(result, self.image.crop(box), self.mask.crop(box))


@dataclass(frozen=True)
class SizeRule:
    """The sizes a model can generate: sides are multiples of `step_px`; its own is `own`."""

    step_px: int
    own: Size

    def rounded(self, size: Size) -> Size:
        """The nearest size that can be generated."""
        return Size(width=self._near(size.width), height=self._near(size.height))

    def with_proportions(self, size: Pair) -> Size:
        """About as many pixels as the model's own size, in the proportions of another."""
        scale = (self.own.width * self.own.height / (size[0] * size[1])) ** 0.5
        sides = (min(SIDE_PX[-1], max(1, round(side * scale))) for side in size)
        width, height = sides
        return self.rounded(Size(width=width, height=height))

    def warnings(self, requested: Size | None) -> list[str]:
        """What has to be said of the size that was asked for."""
        size = requested and self.rounded(requested)
        if size is None or size == requested:
            return []
        return [f"size: rounded to {size.width}x{size.height}, a multiple of {self.step_px}"]

    def _near(self, length: int) -> int:
        return max(self.step_px, round(length / self.step_px) * self.step_px)


def source_of(
    request: ImageToImage, image: Path, mask: Path | None, *, rule: SizeRule
) -> tuple[ImageSource, tuple[str, ...]]:
    """The request's still, ready to be edited, and what of the files was left out.

    InvalidRequest for files that cannot be decoded, and for images too small or too large to be
    edited at their own size.
    """
    still = decoded_image(image, param="image", max_pixels=request.max_pixels)
    plain, warnings = flattened(still), still.warnings
    selected = None
    if mask is not None:
        generated = decoded_image(mask, param="mask", max_pixels=request.max_pixels)
        selected = selection(generated).resize(plain.size, Image.Resampling.BILINEAR)
        warnings += generated.warnings
        if selected.getextrema()[1] == 0:
            warnings += (NOTHING,)
    if request.size is None and not request.is_sized_by_model:
        return _at_own_size(plain, selected, rule.step_px), warnings
    size = rule.rounded(request.size) if request.size else rule.with_proportions(plain.size)
    pair = (size.width, size.height)
    cut = None if selected is None else _covering(selected, pair)
    return ImageSource(_covering(plain, pair), cut, pair), warnings


def flattened(image: DecodedImage) -> Image.Image:
    """On white, where the image is not opaque."""
    if image.alpha is None:
        return image.image
    white = Image.new("RGB", image.image.size, "white")
    return Image.composite(image.image, white, image.alpha)


def selection(mask: DecodedImage) -> Image.Image:
    """White where it is edited: what is transparent, or, in an opaque mask, what is bright."""
    if mask.alpha is not None and mask.alpha.getextrema() != (255, 255):
        return ImageChops.invert(mask.alpha)
    return mask.image.convert("L")


def _covering(image: Image.Image, size: Pair) -> Image.Image:
    return ImageOps.fit(image, size, Image.Resampling.LANCZOS)


def _at_own_size(image: Image.Image, mask: Image.Image | None, step_px: int) -> ImageSource:
    """Edited a little larger where its sides are no multiples, so that no pixel has to move."""
    for side in image.size:
        if side not in SIDE_PX:
            raise InvalidRequest(
                f"an image of {image.width}x{image.height} cannot be edited at its own size; its "
                f"sides must be from {SIDE_PX.start} to {SIDE_PX[-1]}; set 'size'",
                param="image",
            )
    width, height = (-(-side // step_px) * step_px for side in image.size)
    padded = None if mask is None else _padded(mask, (width, height))
    return ImageSource(_padded(image, (width, height)), padded, image.size)


def _padded(image: Image.Image, size: Pair) -> Image.Image:
    """The last column and row repeated up to the size."""
    if image.size == size:
        return image
    (width, height), (right, bottom) = image.size, size
    canvas = Image.new(image.mode, size)
    canvas.paste(image)
    if right > width:
        column = image.crop((width - 1, 0, width, height))
        canvas.paste(column.resize((right - width, height)), (width, 0))
    if bottom > height:
        row = canvas.crop((0, height - 1, right, height))
        canvas.paste(row.resize((right, bottom - height)), (0, height))
    return canvas
