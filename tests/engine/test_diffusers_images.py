"""Images through the real diffusers, with a tiny Stable Diffusion of random weights."""

import io
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from deployments.image.diffusers_images import DiffusersImages
from deployments.image.diffusers_schedulers import NAMES
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.image.images import Images, Size, TextToImage
from serve_app.core.message import Progress
from serve_app.core.options.image import DiffusersOptions
from tests.engine.tiny_diffusion import save_prudish_stable_diffusion, save_stable_diffusion
from tests.notices import texts_of

MODEL = Model(id="tiny", source="tiny")
SMALL = Size(width=32, height=24)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stable_diffusion(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture
async def engine(checkpoint: Path, blobs: FsspecBlobStore) -> AsyncIterator[DiffusersImages]:
    engine = DiffusersImages(DiffusersOptions(threads=1), MODEL, path=checkpoint, blobs=blobs)
    await engine.start()
    yield engine
    await engine.close()
    await engine.close()


def request(**fields: Any) -> TextToImage:
    values = {"model": "tiny", "prompt": "a red boat", "seed": 5, "steps": 3, "size": SMALL}
    return TextToImage.model_validate(values | fields)


async def generated(engine: DiffusersImages, **fields: Any) -> Images:
    events = [event async for event in engine.text_to_image(request(**fields))]
    result = events[-1]
    assert isinstance(result, Images)
    return result


async def image(blobs: FsspecBlobStore, images: Images, index: int = 0) -> Image.Image:
    chunks = [chunk async for chunk in blobs.read(images.images[index].image)]
    return Image.open(io.BytesIO(b"".join(chunks)))


async def pixels(engine: DiffusersImages, blobs: FsspecBlobStore, **fields: Any) -> bytes:
    return (await image(blobs, await generated(engine, **fields))).tobytes()


async def test_progress_comes_first_and_the_result_last(engine: DiffusersImages) -> None:
    events = [event async for event in engine.text_to_image(request(count=2))]
    steps = [event for event in events if isinstance(event, Progress)]
    assert isinstance(events[-1], Images)
    assert len(steps) == len(events) - 1
    assert {(step.phase, step.total) for step in steps} == {("denoise", 6)}
    counts = [step.current for step in steps]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (2, 6)


async def test_a_seed_is_an_image_alone_and_among_others(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    three = await generated(engine, count=3)
    assert [made.seed for made in three.images] == [5, 6, 7]
    second = (await image(blobs, three, 1)).tobytes()
    assert second == await pixels(engine, blobs, seed=6)
    assert second != await pixels(engine, blobs, seed=5)


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a green house"},
        {"negative_prompt": "a green house"},
        {"steps": 5},
        {"guidance_scale": 1.0},
        {"scheduler": "euler_a"},
        {"seed": -5},
    ],
)
async def test_every_field_changes_the_image(
    engine: DiffusersImages, blobs: FsspecBlobStore, fields: dict[str, Any]
) -> None:
    assert await pixels(engine, blobs, **fields) != await pixels(engine, blobs)


async def test_quality_scales_the_models_own_steps_only(
    checkpoint: Path, blobs: FsspecBlobStore
) -> None:
    options = DiffusersOptions(threads=1, steps=4, guidance_scale=2)
    engine = DiffusersImages(options, MODEL, path=checkpoint, blobs=blobs)
    for quality, steps, shown in (
        ("low", None, 2),
        ("standard", None, 4),
        ("high", None, 6),
        ("high", 3, 3),
    ):
        images = await generated(engine, steps=steps, quality=quality)
        text = (await image(blobs, images)).info["parameters"]
        assert f"Steps: {shown}, Sampler: PNDMScheduler, CFG scale: 2.0, Seed: 5" in text
    await engine.close()


async def test_the_models_own_size(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    images = await generated(engine, size=None)
    assert (await image(blobs, images)).size == (16, 16)
    assert images.images[0].size == Size(width=16, height=16)
    assert images.warnings == ()


async def test_a_size_between_the_models_steps_is_rounded_and_said_so(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    images = await generated(engine, size=Size(width=33, height=23))
    assert (await image(blobs, images)).size == (32, 24)
    assert texts_of(images.warnings) == ("size: rounded to 32x24, a multiple of 8",)


async def test_a_negative_prompt_without_guidance_is_told(engine: DiffusersImages) -> None:
    images = await generated(engine, negative_prompt="a house", guidance_scale=0.5)
    assert texts_of(images.warnings) == (
        "negative_prompt: has no effect with a guidance scale up to 1",
    )


@pytest.mark.parametrize("name", [*NAMES, "Euler a", "DPM++ 2M Karras", "UniPCMultistepScheduler"])
async def test_every_scheduler_draws(engine: DiffusersImages, name: str) -> None:
    assert len((await generated(engine, scheduler=name)).images) == 1


async def test_a_scheduler_lasts_for_one_request(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    before = await pixels(engine, blobs)
    await generated(engine, scheduler="ddim")
    assert await pixels(engine, blobs) == before


async def test_an_unknown_scheduler_is_refused_with_those_that_fit(
    engine: DiffusersImages,
) -> None:
    with pytest.raises(InvalidRequest, match=r"'magic'.*euler_a.*DDIMScheduler") as caught:
        await generated(engine, scheduler="magic")
    assert caught.value.param == "scheduler"


async def test_a_prompt_is_read_once_and_gives_the_same_image(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    first, again = await generated(engine), await generated(engine)
    other = await generated(engine, prompt="a green house")
    hits = [images.prompt_cache_hit for images in (first, again, other)]
    assert hits == [False, True, False]
    assert first.images == again.images


async def test_closing_the_stream_stops_at_the_next_step(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    before = await pixels(engine, blobs)
    seen = []

    def count(*_: object) -> None:
        seen.append(1)

    handle = engine._checkpoint.first.unet.register_forward_hook(count)
    events: AsyncGenerator[Any] = engine.text_to_image(request(steps=150, count=10))
    async with aclosing(events):
        await anext(events)
    stopped_at = len(seen)
    assert stopped_at < 1500
    handle.remove()
    assert await pixels(engine, blobs) == before
    assert len(seen) == stopped_at


async def test_out_of_memory_is_that_requests_error_only(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    before = await pixels(engine, blobs)

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    handle = engine._checkpoint.first.unet.register_forward_pre_hook(fail)
    with pytest.raises(BackendUnavailable, match="ran out of memory at 32x24") as caught:
        await generated(engine)
    assert caught.value.code == "out_of_memory"
    handle.remove()
    assert await pixels(engine, blobs) == before


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
async def test_formats(engine: DiffusersImages, blobs: FsspecBlobStore, format: str) -> None:
    images = await generated(engine, format=format)
    assert (await image(blobs, images)).format == format.upper()
    assert images.images[0].image.mime == f"image/{format}"


async def test_the_safety_checker_blacks_out_unless_it_is_disabled(
    tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    path = save_prudish_stable_diffusion(tmp_path)
    engine = DiffusersImages(DiffusersOptions(threads=1), MODEL, path=path, blobs=blobs)
    for _ in range(2):
        checked = await generated(engine, count=2)
        assert texts_of(checked.warnings) == tuple(
            f"image {index}: blacked out by the safety checker" for index in range(2)
        )
        assert (await image(blobs, checked)).getextrema() == ((0, 0),) * 3
        free = await generated(engine, checks_safety=False)
        assert free.warnings == ()
        assert (await image(blobs, free)).getextrema() != ((0, 0),) * 3
    await engine.close()


def test_what_is_no_checkpoint_is_said(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match="'tiny' cannot be loaded by diffusers") as caught:
        DiffusersImages(DiffusersOptions(), MODEL, path=tmp_path, blobs=blobs)
    assert str(tmp_path) not in caught.value.message
    with pytest.raises(BackendUnavailable, match="has no source"):
        DiffusersImages(DiffusersOptions(), MODEL, path=None, blobs=blobs)


def test_offloading_needs_a_gpu(checkpoint: Path, blobs: FsspecBlobStore) -> None:
    options = DiffusersOptions(device="cpu", offload="model")
    with pytest.raises(BackendUnavailable, match="'model' needs a CUDA device"):
        DiffusersImages(options, MODEL, path=checkpoint, blobs=blobs)
