"""What every upscaler does around its model: decoding, limits, transparency, the file."""

from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from deployments.file_making import file_events
from deployments.media.image_decoding import DecodedImage, check_pixels, decoded_image
from deployments.media.image_encoding import saved_png
from deployments.media.image_sources import flattened
from deployments.media.image_tiles import LANCZOS, EnlargedImage
from deployments.media.processed_image_files import LONGEST_SIDE_PX
from serve_app.core.errors import PayloadTooLarge
from serve_app.core.image.images import IMAGE_MIME, Size
from serve_app.core.image.upscaling import UpscaledImage, UpscaleEvent, UpscaleImage
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice

Enlarge = Callable[[Image.Image, int], Iterator[Progress | EnlargedImage]]
"""Takes an RGB image and a factor; yields Progress and last the image."""


@dataclass(frozen=True)
class UpscaledFile:
    """The size and warnings of a finished file."""

    size: Size
    warnings: tuple[Notice, ...]


class ImageUpscaling:
    """The verb of an Upscaler whose model is `enlarge`, which blocks in a thread of `executor`."""

    def __init__(
        self, enlarge: Enlarge, *, engine: str, blobs: BlobStore, executor: Executor | None = None
    ) -> None:
        self._enlarge = enlarge
        self._engine = engine
        self._blobs = blobs
        self._executor = executor

    def upscale(self, request: UpscaleImage) -> AsyncGenerator[UpscaleEvent]:
        """Progress in tiles, last the image. PayloadTooLarge with `param` `scale` when it would
        have more pixels than the request allows, or a longer side than its format has.
        """
        return file_events(
            self._blobs,
            [request.image],
            lambda paths, target, _: self._made(paths[0], target, request),
            mime=IMAGE_MIME[request.format],
            result=lambda blob, made: UpscaledImage(
                image=blob, size=made.size, engine=self._engine, warnings=made.warnings
            ),
            executor=self._executor,
        )

    def _made(
        self, source: Path, target: Path, request: UpscaleImage
    ) -> Iterator[Progress | UpscaledFile]:
        scale, limit = request.scale, request.max_pixels
        still = decoded_image(source, param="image", max_pixels=limit)
        width, height = (side * scale for side in still.image.size)
        check_pixels(width, height, param="scale", max_pixels=limit)
        _check_sides(max(width, height), request)
        warnings = still.warnings
        for item in self._enlarge(still.image, scale):
            if isinstance(item, Progress):
                yield item
                continue
            image, warnings = item.image, warnings + item.warnings
        if still.alpha is not None:
            image.putalpha(still.alpha.resize((width, height), LANCZOS))
        _save(image, target, request, still.colours)
        yield UpscaledFile(Size(width=width, height=height), warnings)


def _check_sides(longest: int, request: UpscaleImage) -> None:
    limit = LONGEST_SIDE_PX.get("webp" if request.format == "webp" else "jpg")
    if request.format != "png" and limit is not None and longest > limit:
        raise PayloadTooLarge(
            f"a {request.format} image has at most {limit} pixels on a side, not {longest}",
            param="scale",
        )


def _save(image: Image.Image, target: Path, request: UpscaleImage, colours: bytes | None) -> None:
    """RGB or RGBA as a file; in JPEG, what is transparent becomes white."""
    if request.format == "png":
        saved_png(image, target, colours=colours)
        return
    if request.format == "jpeg" and image.mode == "RGBA":
        image = flattened(DecodedImage(image.convert("RGB"), image.getchannel("A")))
    profile = {"icc_profile": colours} if colours else {}
    image.save(target, request.format.upper(), quality=request.compression, **profile)
