"""Captions without a trained model: the main colour of an image."""

from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

from PIL import ImageColor

from deployments.media.image_decoding import decoded_image
from deployments.model_engine import WorkerEngine
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.image.captioning import DescribeImage, DescriptionEvent, ImageDescription
from serve_app.core.message import Progress
from serve_app.core.options.image import PaletteOptions
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

NAMES = ("black", "white", "grey", "red", "green", "blue", "yellow", "cyan", "magenta")


class PaletteCaptioning(WorkerEngine[PaletteOptions]):
    """An ImageDescriber. It handles one image at a time."""

    async def describe_image(self, request: DescribeImage) -> AsyncGenerator[DescriptionEvent]:
        """The name of the main colour. UnsupportedCapability for a question."""
        if request.question is not None:
            raise UnsupportedCapability(
                f"model {request.model!r} answers no questions; use a chat model with vision",
                param="question",
            )
        async with self.blobs.local_file(request.image) as path:
            events = in_thread(lambda stop: self._described(path, request, stop), self.worker)
            async with closing(events):
                async for event in events:
                    yield event

    def _described(
        self, path: Path, request: DescribeImage, stop: Callable[[], bool]
    ) -> Iterator[DescriptionEvent]:
        """Runs in the worker thread, and blocks it."""
        decoded = decoded_image(path, param="image", max_pixels=request.max_pixels)
        yield Progress(phase="caption", current=0, total=1)
        if stop():
            return
        side = self.options.samples
        pixel = decoded.image.resize((side, side)).quantize(1).convert("RGB").getpixel((0, 0))
        assert isinstance(pixel, tuple)
        name = min(NAMES, key=lambda name: _distance(ImageColor.getrgb(name), pixel))
        yield ImageDescription(text=f"an image that is mostly {name}", warnings=decoded.warnings)


def _distance(one: tuple[int, ...], other: tuple[float, ...]) -> float:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
