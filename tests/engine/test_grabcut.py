"""GrabCut on images whose objects are known."""

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployments.image.grabcut import GrabcutSegmentation
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.image.segmentation import Box, Point, SegmentImage, Segments
from serve_app.core.message import Progress
from serve_app.core.options.image import GrabcutOptions
from tests.material import content, stored
from tests.notices import texts_of
from tests.scenes import objects, overlap, png_of

GOOD = 0.9


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def engine(blobs: FsspecBlobStore) -> GrabcutSegmentation:
    return GrabcutSegmentation(GrabcutOptions(), Model(id="grabcut"), path=None, blobs=blobs)


async def found(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore, data: bytes, **fields: Any
) -> tuple[Segments, list[Image.Image]]:
    image = await stored(blobs, data, mime="image/png")
    request = SegmentImage(model="grabcut", image=image, **fields)
    events = [event async for event in engine.segment_image(request)]
    assert all(isinstance(event, Progress) for event in events[:-1])
    result = events[-1]
    assert isinstance(result, Segments)
    files = [await content(blobs, segment.image) for segment in result.segments]
    return result, [Image.open(io.BytesIO(file)) for file in files]


def box_around(mask: Image.Image, margin: int) -> Box:
    x1, y1, x2, y2 = mask.getbbox() or (0, 0, 0, 0)
    return Box(
        x1=max(0, x1 - margin),
        y1=max(0, y1 - margin),
        x2=min(mask.width, x2 + margin),
        y2=min(mask.height, y2 + margin),
    )


@pytest.mark.parametrize("size", [(320, 240), (1500, 900)])
async def test_objects_in_boxes(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore, size: tuple[int, int]
) -> None:
    image, disc, triangle = objects(*size)
    boxes = (box_around(triangle, 6), box_around(disc, 6))
    result, masks = await found(engine, blobs, png_of(image), boxes=boxes)
    assert [overlap(masks[0], triangle) > GOOD, overlap(masks[1], disc) > GOOD] == [True, True]
    for segment, mask in zip(result.segments, masks, strict=True):
        assert (mask.mode, mask.size) == ("L", size)
        assert segment.box == mask.getbbox()
        assert segment.area == mask.histogram()[255] == size[0] * size[1] - mask.histogram()[0]
        assert segment.score is not None
        assert 0.5 < segment.score <= 1
    assert (result.engine, result.quality) == ("grabcut", "best-effort")
    assert "by colour" in texts_of(result.warnings)[-1]


async def test_objects_at_points(engine: GrabcutSegmentation, blobs: FsspecBlobStore) -> None:
    image, disc, triangle = objects()
    for mask, point in ((disc, Point(x=86, y=114)), (triangle, Point(x=240, y=150))):
        _, (made,) = await found(engine, blobs, png_of(image), points=(point,))
        assert overlap(made, mask) > GOOD


async def test_points_of_two_parts_are_one_object(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore
) -> None:
    image, disc, triangle = objects()
    points = (Point(x=86, y=114), Point(x=240, y=150))
    _, (made,) = await found(engine, blobs, png_of(image), points=points)
    both = Image.new("L", image.size)
    for mask in (disc, triangle):
        both.paste(255, mask=mask)
    assert overlap(made, both) > GOOD


async def test_a_point_beside_the_object_takes_it_out_of_a_box(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore
) -> None:
    image, disc, _ = objects()
    box = Box(x1=10, y1=20, x2=310, y2=220)
    points = (Point(x=86, y=114), Point(x=240, y=150, is_object=False))
    _, (made,) = await found(engine, blobs, png_of(image), boxes=(box,), points=points)
    assert overlap(made, disc) > GOOD


async def test_everything(engine: GrabcutSegmentation, blobs: FsspecBlobStore) -> None:
    image, disc, triangle = objects()
    _, masks = await found(engine, blobs, png_of(image))
    assert len(masks) == 2
    assert overlap(masks[0], disc) > GOOD
    assert overlap(masks[1], triangle) > GOOD


async def test_the_same_again(engine: GrabcutSegmentation, blobs: FsspecBlobStore) -> None:
    data = png_of(objects()[0])
    first, _ = await found(engine, blobs, data, mode="all")
    second, _ = await found(engine, blobs, data, mode="all")
    assert first == second
    assert [segment.role for segment in first.segments] == [
        *("mask", "cutout") * 2,
        "overlay",
    ]


async def test_nothing_is_found_where_there_is_nothing(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore
) -> None:
    result, masks = await found(engine, blobs, png_of(Image.new("RGB", (50, 40), "teal")))
    assert masks == []
    assert texts_of(result.warnings)[0] == "image: no object was found"


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 3), (17, 2), (64, 64)])
async def test_images_too_small_for_a_model_of_colours(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore, size: tuple[int, int]
) -> None:
    data = png_of(Image.new("RGB", size, "red"))
    width, height = size
    whole = Box(x1=0, y1=0, x2=width, y2=height)
    _, masks = await found(engine, blobs, data, boxes=(whole,))
    assert [mask.size for mask in masks] == [size] * len(masks)
    _, (mask,) = await found(engine, blobs, data, points=(Point(x=width, y=height),))
    assert mask.getextrema() == (255, 255)


def bomb() -> bytes:
    """An image of 100 million pixels in 12 kB."""
    return png_of(Image.new("1", (10_000, 10_000)))


@pytest.mark.parametrize(
    ("image", "warnings"),
    [
        (lambda: objects()[0].convert("CMYK"), 0),
        (lambda: Image.fromarray(np.uint16(257) * np.asarray(objects()[0].convert("L"))), 1),
        (lambda: objects()[0].convert("RGBA"), 0),
        (lambda: objects()[0].convert("P"), 0),
    ],
)
async def test_every_kind_of_image(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore, image: Any, warnings: int
) -> None:
    target = io.BytesIO()
    image().save(target, "TIFF")
    triangle = objects()[2]
    boxes = (box_around(triangle, 6),)
    result, (mask,) = await found(engine, blobs, target.getvalue(), boxes=boxes)
    assert overlap(mask, triangle) > GOOD
    assert len(result.warnings) == warnings + 1


async def test_the_first_of_several_frames_is_taken(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore
) -> None:
    image, disc, _ = objects()
    target = io.BytesIO()
    image.save(target, "GIF", save_all=True, append_images=[image.rotate(90), image.rotate(180)])
    result, masks = await found(engine, blobs, target.getvalue(), boxes=(box_around(disc, 6),))
    assert overlap(masks[0], disc) > GOOD
    assert "the first of 3 frames" in texts_of(result.warnings)[0]


async def test_points_count_in_the_upright_image(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore
) -> None:
    image, disc, _ = objects()
    exif = Image.Exif()
    exif[0x0112] = 6
    target = io.BytesIO()
    image.transpose(Image.Transpose.ROTATE_90).save(target, "PNG", exif=exif)
    _, (mask,) = await found(engine, blobs, target.getvalue(), points=(Point(x=86, y=114),))
    assert overlap(mask, disc) > GOOD


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(60), png_of(objects()[0])[:900]]
)
async def test_what_cannot_be_decoded(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore, data: bytes
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await found(engine, blobs, data)
    assert caught.value.param == "image"


async def test_more_pixels_than_allowed(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore
) -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        await found(engine, blobs, bomb())
    assert caught.value.param == "image"


async def test_places_outside_of_the_image(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore
) -> None:
    data = png_of(objects()[0])
    for fields, param in (
        ({"points": (Point(x=1, y=1), Point(x=1, y=241))}, "points[1]"),
        ({"boxes": (Box(x1=0, y1=0, x2=321, y2=10),)}, "boxes[0]"),
        ({"boxes": (Box(x1=5, y1=0, x2=5, y2=10),)}, "boxes[0]"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await found(engine, blobs, data, **fields)
        assert caught.value.param == param


async def test_cancelling_frees_the_thread(
    engine: GrabcutSegmentation, blobs: FsspecBlobStore
) -> None:
    still, disc, _ = objects()
    image = await stored(blobs, png_of(still), mime="image/png")
    boxes = (box_around(disc, 6),) * 200
    request = SegmentImage(model="grabcut", image=image, boxes=boxes, max_masks=200)
    events = engine.segment_image(request)
    first = await anext(events)
    assert isinstance(first, Progress)
    await asyncio.wait_for(events.aclose(), timeout=20)
    with pytest.raises(StopAsyncIteration):
        await anext(events)
