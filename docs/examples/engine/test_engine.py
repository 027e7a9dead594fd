"""The palette engine on images of known colours."""

from pathlib import Path

import pytest
from PIL import Image

from deployments.image.palette import PaletteCaptioning
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Family, Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.image.captioning import DescribeImage, ImageDescription
from serve_app.core.message import Progress
from serve_app.core.options.image import PaletteOptions
from serve_app.core.settings import Storage
from serve_app.family.engines import load_engine
from tests.material import stored
from tests.scenes import png_of

MODEL = Model(id="palette")


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def engine(blobs: FsspecBlobStore) -> PaletteCaptioning:
    return PaletteCaptioning(PaletteOptions(), MODEL, path=None, blobs=blobs)


@pytest.mark.parametrize("colour", ["red", "blue", "white"])
async def test_the_colour_is_named(
    engine: PaletteCaptioning, blobs: FsspecBlobStore, colour: str
) -> None:
    image = await stored(blobs, png_of(Image.new("RGB", (40, 30), colour)), mime="image/png")
    events = [e async for e in engine.describe_image(DescribeImage(model="palette", image=image))]
    assert events == [
        Progress(phase="caption", current=0, total=1),
        ImageDescription(text=f"an image that is mostly {colour}"),
    ]


async def test_invalid_requests_are_refused(
    engine: PaletteCaptioning, blobs: FsspecBlobStore
) -> None:
    image = await stored(blobs, b"no image", mime="image/png")
    request = DescribeImage(model="palette", image=image)
    with pytest.raises(InvalidRequest, match="image"):
        await anext(engine.describe_image(request))
    with pytest.raises(UnsupportedCapability, match="answers no questions"):
        await anext(engine.describe_image(request.model_copy(update={"question": "who?"})))


async def test_nothing_runs_after_closing(
    engine: PaletteCaptioning, blobs: FsspecBlobStore
) -> None:
    image = await stored(blobs, png_of(Image.new("RGB", (4, 3))), mime="image/png")
    await engine.close()
    await engine.close()
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await anext(engine.describe_image(DescribeImage(model="palette", image=image)))


def test_a_configuration_can_name_it(tmp_path: Path) -> None:
    family = Family.model_validate(
        {
            "name": "captions",
            "options": {"engine": "palette", "samples": 8},
            "models": [{"id": "palette"}],
        }
    )
    engine = load_engine(family, Storage(data_dir=tmp_path), family.models[0], None)
    assert isinstance(engine, PaletteCaptioning)
    assert engine.options.samples == 8
