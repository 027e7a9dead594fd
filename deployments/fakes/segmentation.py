"""The fake SegmentationModel."""

from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING

from typing_extensions import override

from deployments.fakes.engine import FakeEngine
from serve_app.core.image.segmentation import (
    Box,
    Prompt,
    SegmentationModel,
    SegmentEvent,
    SegmentImage,
)
from serve_app.core.message import Progress
from serve_app.runtime.streams import closing

if TYPE_CHECKING:
    from PIL import Image

    from deployments.image.segment_images import Mask, Stop

RADIUS = 0.1
"""Of the discs around points, as a part of the image's longer side."""


class FakeSegmentation(FakeEngine, SegmentationModel):
    """A SegmentationModel to which boxes are objects themselves, points the middle of discs, and
    everything the two halves of the image.
    """

    @override
    async def segment_image(self, request: SegmentImage) -> AsyncGenerator[SegmentEvent]:
        from deployments.image.segment_images import stored_segments

        async with self.working("segment", request.image.sha256):
            events = stored_segments(request, _found, self.blobs, engine="fake", quality="ml")
            async with closing(events):
                async for event in events:
                    yield event


def _found(
    image: "Image.Image", prompts: list[Prompt], stop: "Stop"
) -> "Iterator[Progress | Mask]":
    from PIL import Image as Images
    from PIL import ImageDraw

    from deployments.image.segment_images import Mask

    width, height = image.size
    halves = (
        Box(x1=0, y1=0, x2=width / 2, y2=height),
        Box(x1=width / 2, y1=0, x2=width, y2=height),
    )
    everything = [Prompt(box=half, points=(), field="image") for half in halves]
    for number, prompt in enumerate(prompts or everything):
        if stop():
            return
        mask = Images.new("L", image.size)
        draw = ImageDraw.Draw(mask)
        if prompt.box is not None:
            box = prompt.box
            draw.rectangle((box.x1, box.y1, box.x2 - 1, box.y2 - 1), fill=255)
        else:
            for point in (point for point in prompt.points if point.is_object):
                draw.circle((point.x, point.y), RADIUS * max(image.size), fill=255)
        yield Progress(phase="segment", current=number + 1, total=len(prompts or everything))
        yield Mask(mask, score=1.0 - number / 100, label=None if prompts else f"half {number + 1}")
