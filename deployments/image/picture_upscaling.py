"""What every upscaler does around its model: decoding, limits, transparency, the file."""

import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from deployments.image.image_decoding import check_pixels, decoded_picture
from deployments.image.image_encoding import saved_png
from deployments.image.image_tiles import LANCZOS, Enlarged
from serve_app.core.images import Size
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.streams import closing
from serve_app.core.threads import in_thread
from serve_app.core.upscaling import UpscaledImage, UpscaleEvent, UpscaleImage

Enlarge = Callable[[Image.Image, int], Iterator[Progress | Enlarged]]
"""Takes an RGB image and a factor; yields Progress and last the image."""


@dataclass(frozen=True)
class Made:
    """The size and warnings of a finished file."""

    size: Size
    warnings: tuple[str, ...]


class PictureUpscaling:
    """The verb of an Upscaler whose model is `enlarge`, which blocks in a thread of `executor`."""

    def __init__(
        self, enlarge: Enlarge, *, engine: str, blobs: BlobStore, executor: Executor | None = None
    ) -> None:
        self._enlarge = enlarge
        self._engine = engine
        self._blobs = blobs
        self._executor = executor

    async def upscale(self, request: UpscaleImage) -> AsyncGenerator[UpscaleEvent]:
        """See Upscaler."""
        made: Made | None = None
        with tempfile.TemporaryDirectory(prefix="upscale-") as folder:
            target = Path(folder) / "upscaled.png"
            async with self._blobs.local_file(request.image) as source:
                work = in_thread(lambda _: self._made(source, target, request), self._executor)
                async with closing(work):
                    async for item in work:
                        if isinstance(item, Progress):
                            yield item
                        else:
                            made = item
            assert made is not None
            blob = await self._blobs.write_file(target, mime="image/png")
        yield UpscaledImage(image=blob, size=made.size, engine=self._engine, warnings=made.warnings)

    def _made(self, source: Path, target: Path, request: UpscaleImage) -> Iterator[Progress | Made]:
        scale, limit = request.scale, request.max_pixels
        picture = decoded_picture(source, param="image", max_pixels=limit)
        width, height = (side * scale for side in picture.image.size)
        check_pixels(width, height, param="scale", max_pixels=limit)
        warnings = picture.warnings
        for item in self._enlarge(picture.image, scale):
            if isinstance(item, Progress):
                yield item
                continue
            image, warnings = item.image, warnings + item.warnings
        if picture.alpha is not None:
            image.putalpha(picture.alpha.resize((width, height), LANCZOS))
        saved_png(image, target, colours=picture.colours)
        yield Made(Size(width=width, height=height), warnings)
