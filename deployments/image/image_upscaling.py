"""What every upscaler does around its model: decoding, limits, transparency, the file."""

from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from deployments.file_making import file_events
from deployments.media.image_decoding import check_pixels, decoded_image
from deployments.media.image_encoding import saved_png
from deployments.media.image_tiles import LANCZOS, EnlargedImage
from serve_app.core.image.images import Size
from serve_app.core.image.upscaling import UpscaledImage, UpscaleEvent, UpscaleImage
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress

Enlarge = Callable[[Image.Image, int], Iterator[Progress | EnlargedImage]]
"""Takes an RGB image and a factor; yields Progress and last the image."""


@dataclass(frozen=True)
class UpscaledFile:
    """The size and warnings of a finished file."""

    size: Size
    warnings: tuple[str, ...]


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
        """Progress in tiles, last the image as PNG. PayloadTooLarge with `param` `scale` when
        it would have more pixels than the request allows.
        """
        return file_events(
            self._blobs,
            [request.image],
            lambda paths, target, _: self._made(paths[0], target, request),
            mime="image/png",
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
        warnings = still.warnings
        for item in self._enlarge(still.image, scale):
            if isinstance(item, Progress):
                yield item
                continue
            image, warnings = item.image, warnings + item.warnings
        if still.alpha is not None:
            image.putalpha(still.alpha.resize((width, height), LANCZOS))
        saved_png(image, target, colours=still.colours)
        yield UpscaledFile(Size(width=width, height=height), warnings)
