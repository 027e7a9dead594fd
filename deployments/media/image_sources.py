"""Images to edit: cut to size, masked, and put together again with what was generated.

Imported only where images are generated. Everything here blocks.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from deployments.media.image_decoding import DecodedImage, decoded_image
from deployments.media.image_resizing import padded, resized
from deployments.media.masks import Box, filled, mask_of, region_of
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import ImageToImage, Inpaint, Size
from serve_app.core.notices import Notice

LATENT_FILLS = ("noise", "nothing")
"""Of masked parts: noise and nothing look otherwise where the model works."""

SIDE_PX = range(16, 4097)
"""Of images that are edited at their own size."""

NOTHING = Notice(field="mask", text="nothing is selected, so nothing is edited")

Pair = tuple[int, int]


@dataclass(frozen=True)
class EditedRegion:
    """The part of an image that alone is edited, at another size. `mask` is the whole image's."""

    whole: Image.Image
    mask: Image.Image
    box: Box


@dataclass(frozen=True)
class ImageSource:
    """An image to edit. `image` is RGB, `mask` is L, white where it is edited; both have
    a size that the model can generate. `size` is the result's, the upper left part of it.

    `unscaled` is there for models that resize latents: the image before it had this size. `plain`
    is what was there where the mask is filled with something else.
    """

    image: Image.Image
    mask: Image.Image | None
    size: Pair
    unscaled: Image.Image | None = None
    plain: Image.Image | None = None
    region: EditedRegion | None = None

    def finished(self, generated: Image.Image) -> Image.Image:
        """The result of its size: outside the mask, every pixel is the source's own."""
        box = (0, 0, *self.size)
        result = generated.convert("RGB").crop(box)
        if self.region is not None:
            return _put_back(result, self.region)
        if self.mask is None:
            return result
        own = self.plain or self.image
        return Image.composite(result, own.crop(box), self.mask.crop(box))


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

    def warnings(self, requested: Size | None) -> list[Notice]:
        """What has to be said of the size that was asked for."""
        size = requested and self.rounded(requested)
        if size is None or size == requested:
            return []
        said = f"rounded to {size.width}x{size.height}, a multiple of {self.step_px}"
        return [Notice(field="size", text=said)]

    def _near(self, length: int) -> int:
        return max(self.step_px, round(length / self.step_px) * self.step_px)


def source_of(
    request: ImageToImage,
    image: Path,
    mask: Path | None,
    *,
    rule: SizeRule,
    fills_latents: bool = False,
    resizes_latents: bool = False,
) -> tuple[ImageSource, tuple[Notice, ...]]:
    """The request's still, ready to be edited, and what of the files was left out. What the model
    does with latents is not done with pixels here.

    InvalidRequest for files that cannot be decoded, and for images too small or too large to be
    edited at their own size.
    """
    still = decoded_image(image, param="image", max_pixels=request.max_pixels)
    plain, warnings = flattened(still), still.warnings
    selected = None
    if mask is not None:
        assert isinstance(request, Inpaint)
        generated = decoded_image(mask, param="mask", max_pixels=request.max_pixels)
        selected = mask_of(request, generated).resize(plain.size, Image.Resampling.BILINEAR)
        warnings += generated.warnings
        if selected.getextrema()[1] == 0:
            warnings += (NOTHING,)
        if request.region_padding is not None:
            source = _region(request, plain, selected, request.region_padding, rule)
            return _filled_in(request, source, fills_latents=fills_latents), warnings
    source = _whole(request, plain, selected, rule)
    if not resizes_latents:
        source = replace(source, unscaled=None)
    return _filled_in(request, source, fills_latents=fills_latents), warnings


def _whole(
    request: ImageToImage, plain: Image.Image, mask: Image.Image | None, rule: SizeRule
) -> ImageSource:
    if request.size is None and not request.is_sized_by_model:
        return _at_own_size(plain, mask, rule.step_px)
    size = rule.rounded(request.size) if request.size else rule.with_proportions(plain.size)
    pair = (size.width, size.height)
    cut = None if mask is None else resized(mask, pair, request.resize)
    unscaled = None
    if request.resize == "latent":
        unscaled = _at_own_size(plain, None, rule.step_px).image
    return ImageSource(resized(plain, pair, request.resize), cut, pair, unscaled)


def _region(
    request: Inpaint, plain: Image.Image, mask: Image.Image, padding: int, rule: SizeRule
) -> ImageSource:
    """The part with the mask, at the size that was asked for or that the model generates best."""
    wanted = rule.rounded(request.size) if request.size else None
    own = rule.own
    shape = (wanted.width, wanted.height) if wanted else (own.width, own.height)
    box = region_of(mask, padding, shape)
    size = wanted or rule.with_proportions((box[2] - box[0], box[3] - box[1]))
    pair = (size.width, size.height)
    image, cut = (each.crop(box).resize(pair, Image.Resampling.LANCZOS) for each in (plain, mask))
    return ImageSource(image, cut, pair, region=EditedRegion(plain, mask, box))


def _filled_in(request: ImageToImage, source: ImageSource, *, fills_latents: bool) -> ImageSource:
    """What the masked part is made anew from, as pixels."""
    if source.mask is None or not isinstance(request, Inpaint) or request.mask_fill == "original":
        return source
    if fills_latents and request.mask_fill in LATENT_FILLS:
        return source
    image = filled(source.image, source.mask, request.mask_fill, seed=request.seed)
    return replace(source, image=image, plain=source.image)


def _put_back(result: Image.Image, region: EditedRegion) -> Image.Image:
    left, top, right, bottom = region.box
    canvas = region.whole.copy()
    part = result.resize((right - left, bottom - top), Image.Resampling.LANCZOS)
    canvas.paste(part, (left, top))
    return Image.composite(canvas, region.whole, region.mask)


def flattened(image: DecodedImage) -> Image.Image:
    """On white, where the image is not opaque."""
    if image.alpha is None:
        return image.image
    white = Image.new("RGB", image.image.size, "white")
    return Image.composite(image.image, white, image.alpha)


def _at_own_size(image: Image.Image, mask: Image.Image | None, step_px: int) -> ImageSource:
    """Edited a little larger where its sides are no multiples, so that no pixel has to move."""
    for side in image.size:
        if side not in SIDE_PX:
            raise InvalidRequest(
                f"an image of {image.width}x{image.height} cannot be edited at its own size",
                remedy=(f"its sides must be from {SIDE_PX.start} to {SIDE_PX[-1]}; request a size"),
                param="image",
            )
    width, height = (-(-side // step_px) * step_px for side in image.size)
    cut = None if mask is None else padded(mask, (width, height))
    return ImageSource(padded(image, (width, height)), cut, image.size)
