"""U2-Net with its trained weights, on images whose objects are known."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from deployments.image.u2net import U2netSegmentation
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, UnsupportedCapability
from serve_app.core.image.segmentation import Box, Point, SegmentImage, Segments
from serve_app.core.message import Progress
from serve_app.core.options.image import U2netOptions
from tests.details import DETAILED
from tests.material import content, stored
from tests.notices import texts_of
from tests.scenes import objects, overlap, png_of
from tests.weights import weights as packaged

MODEL = Model(id="u2netp", source="u2netp")
GOOD = 0.95


@pytest.fixture(scope="module")
def weights() -> Path:
    return packaged("u2netp")


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def engine_of(path: Path | None, blobs: FsspecBlobStore) -> U2netSegmentation:
    return U2netSegmentation(U2netOptions(threads=1), MODEL, path=path, blobs=blobs)


async def found(
    engine: U2netSegmentation, blobs: FsspecBlobStore, image: Image.Image, **fields: Any
) -> tuple[Segments, list[Image.Image]]:
    blob = await stored(blobs, png_of(image), mime="image/png")
    request = SegmentImage(model="u2netp", image=blob, **fields)
    events = [event async for event in engine.segment_image(request)]
    assert all(isinstance(event, Progress) for event in events[:-1])
    result = events[-1]
    assert isinstance(result, Segments)
    files = [await content(blobs, segment.image) for segment in result.segments]
    return result, [Image.open(io.BytesIO(file)) for file in files]


def on_leaves() -> tuple[Image.Image, Image.Image]:
    """A pink oval over leaves of many shades, and its mask."""
    image = DETAILED["leaves"]().resize((600, 400))
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((180, 80, 420, 330), fill=255)
    image.paste((230, 60, 160), mask=mask)
    return image, mask


async def test_what_stands_out_is_one_object(weights: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(weights, blobs)
    image, disc, triangle = objects()
    for shown, truth in ((image, ImageChops.lighter(disc, triangle)), on_leaves()):
        result, (mask,) = await found(engine, blobs, shown)
        assert (mask.mode, mask.size) == ("L", shown.size)
        assert overlap(mask, truth) > GOOD
        assert {value for _, value in mask.getcolors() or ()} == {0, 255}
        (segment,) = result.segments
        assert segment.box == mask.getbbox()
        assert segment.area == mask.histogram()[255]
        assert segment.score is not None
        assert segment.score > 0.9
        assert (result.engine, result.quality, result.warnings) == ("u2net", "ml", ())


async def test_a_cutout_ends_softly(weights: Path, blobs: FsspecBlobStore) -> None:
    image, truth = on_leaves()
    _, (cutout,) = await found(engine_of(weights, blobs), blobs, image, mode="cutout")
    assert (cutout.mode, cutout.size) == ("RGBA", image.size)
    alpha = cutout.getchannel("A")
    assert alpha.getpixel((300, 200)) > 240
    assert alpha.getpixel((20, 20)) < 10
    assert len(alpha.getcolors() or ()) > 20
    assert overlap(alpha, truth) > GOOD
    assert np.array_equal(np.asarray(cutout)[..., :3], np.asarray(image))


async def test_an_image_of_nothing(weights: Path, blobs: FsspecBlobStore) -> None:
    plain = Image.new("RGB", (30, 20), (9, 80, 80))
    result, _ = await found(engine_of(weights, blobs), blobs, plain)
    assert result.segments == ()
    assert texts_of(result.warnings) == ("image: no object was found",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"points": (Point(x=3, y=3),)}, "points"),
        ({"boxes": (Box(x1=0, y1=0, x2=9, y2=9),)}, "boxes"),
    ],
)
async def test_it_cannot_be_pointed(
    weights: Path, blobs: FsspecBlobStore, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedCapability, match="takes no points or boxes") as caught:
        await found(engine_of(weights, blobs), blobs, objects()[0], **fields)
    assert caught.value.param == param


async def test_files_that_are_no_network_and_unloading(
    tmp_path: Path, weights: Path, blobs: FsspecBlobStore
) -> None:
    with pytest.raises(BackendUnavailable, match="has no source"):
        engine_of(None, blobs)
    with pytest.raises(BackendUnavailable, match=r"has 0 files that end with \.onnx"):
        engine_of(tmp_path, blobs)
    whole = (weights / "u2netp.onnx").read_bytes()
    for data in (b"", b"no network", whole[: len(whole) // 2]):
        (tmp_path / "a.onnx").write_bytes(data)
        with pytest.raises(BackendUnavailable, match="cannot be loaded") as caught:
            engine_of(tmp_path, blobs)
        assert str(tmp_path) not in caught.value.message
    engine = engine_of(weights / "u2netp.onnx", blobs)
    await engine.close()
    await engine.close()
