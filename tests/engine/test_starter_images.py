"""The image checkpoint that is made on first start: whole, the same everywhere, and able."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageStat

from deployments.image.diffusers_images import DiffusersImages
from deployments.image.starter_images import ensure_starter_images
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.image.attachments import References
from serve_app.core.image.images import ImageGeneration, Size
from tests.engine.image_requests import (
    distance,
    edit,
    engine_of,
    generation,
    gradient,
    image,
    stored,
)


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_starter_images(tmp_path_factory.mktemp("models") / "starter-images")


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture
async def engine(starter: Path, blobs: FsspecBlobStore) -> AsyncIterator[DiffusersImages]:
    engine = engine_of(starter, blobs, steps=4)
    yield engine
    await engine.close()


def digest(folder: Path) -> str:
    files = sorted(folder.rglob("*.safetensors"))
    assert len(files) == 5
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def test_it_is_small_and_the_same_whatever_was_drawn_before(starter: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    again = ensure_starter_images(tmp_path / "again")
    assert torch.equal(before, torch.random.get_rng_state())
    assert digest(again) == digest(starter)
    assert sum(file.stat().st_size for file in starter.rglob("*")) < 10_000_000
    made_at = (again / "model_index.json").stat().st_mtime_ns
    assert ensure_starter_images(again) == again
    assert (again / "model_index.json").stat().st_mtime_ns == made_at


async def test_the_models_own_size_is_full_of_colours(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    result = await image(engine, blobs, generation(size=None, steps=None))
    assert result.size == (512, 512)
    assert min(ImageStat.Stat(result).stddev) > 20
    assert "Steps: 4, Sampler: EulerDiscreteScheduler" in result.info["parameters"]


@pytest.mark.parametrize("size", [(64, 64), (8, 4096), (1024, 1024), (2048, 72)])
async def test_every_size(
    engine: DiffusersImages, blobs: FsspecBlobStore, size: tuple[int, int]
) -> None:
    asked = Size(width=size[0], height=size[1])
    assert (await image(engine, blobs, generation(size=asked, steps=1))).size == size


async def test_every_prompt(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    """Any text, and more than the model can read."""
    small = Size(width=64, height=64)
    prompts = ("a boat", "ein Boot bei Nacht", "小船 🚤", "\n\t", "word " * 500)
    results = [
        await image(engine, blobs, generation(prompt=prompt, size=small)) for prompt in prompts
    ]
    assert len({result.tobytes() for result in results}) == len(prompts)


async def test_every_verb(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    made = await stored(blobs, gradient((64, 72)))
    mask = Image.new("L", (64, 72))
    mask.paste(255, (0, 0, 32, 72))
    references = References(images=(made,), strength=1)
    requests: list[ImageGeneration] = [
        generation(size=Size(width=64, height=72)),
        generation(size=Size(width=64, height=72), references=references),
        edit(made),
        edit(made, references=references),
        edit(made, mask=await stored(blobs, mask)),
    ]
    results = [await image(engine, blobs, request) for request in requests]
    assert {result.size for result in results} == {(64, 72)}
    assert len({result.tobytes() for result in results}) == len(results)
    right = (32, 0, 64, 72)
    assert distance(results[-1].crop(right), gradient((64, 72)).crop(right)) == 0
