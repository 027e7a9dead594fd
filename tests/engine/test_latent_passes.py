"""Latents that are kept for a second pass, and resized as they are."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, StableDiffusionImg2ImgPipeline

from deployments.image.diffusers_images import DiffusersImages
from deployments.image.latent_files import MODES, latent_bytes, read_latents, resampled
from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.catalog import Catalog
from serve_app.catalog.engine_runner import runner_of
from serve_app.core.config import AppConfig
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import HiresPass, Images
from serve_app.core.media import Blob
from serve_app.core.status import ModelStatus
from tests.engine.image_requests import (
    distance,
    edit,
    engine_of,
    generated,
    generation,
    image,
    opened,
)
from tests.engine.tiny_diffusion import save_flux, save_stable_diffusion
from tests.images import chunks

LARGE = {"width": 64, "height": 48}
SAMPLING = {"sampler": "ddim"}
CELL_PX = 2


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stable_diffusion(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def engine(checkpoint: Path, blobs: FsspecBlobStore) -> Iterator[DiffusersImages]:
    engine = engine_of(checkpoint, blobs)
    yield engine
    asyncio.run(engine.close())


async def latents_of(blobs: FsspecBlobStore, made: Images, index: int = 0) -> torch.Tensor:
    blob = made.images[index].latents
    assert blob is not None
    async with blobs.local_file(blob) as path:
        return read_latents(path, channels=4)


async def test_an_image_is_what_its_latents_are_decoded_to(
    engine: DiffusersImages, blobs: FsspecBlobStore, checkpoint: Path
) -> None:
    made = await generated(engine, generation(keeps_latents=True, count=2))
    pipeline: Any = DiffusionPipeline.from_pretrained(checkpoint)
    for index in range(2):
        latents = await latents_of(blobs, made, index)
        with torch.no_grad():
            decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
        (again,) = pipeline.image_processor.postprocess(decoded, output_type="pil")
        assert distance(again, await opened(blobs, made, index)) <= 1
    assert (await generated(engine, generation())).images[0].latents is None


async def second_pass(engine: DiffusersImages, **hires: Any) -> Images:
    families = [{"name": "images", "options": {"engine": "diffusers"}, "models": [{"id": "tiny"}]}]
    config = AppConfig.model_validate({"families": families})
    catalog = Catalog(config, {"images": runner_of(engine)}, statuses=no_statuses)
    wanted = HiresPass.model_validate({"strength": 0.6, "steps": 5} | hires)
    return await catalog.answer(generation(hires=wanted, sampling=SAMPLING))


async def no_statuses() -> dict[str, ModelStatus]:
    return {}


@pytest.mark.parametrize("how", ["bilinear", "exact_nearest"])
async def test_the_second_pass_goes_on_from_the_latents_of_the_first(
    engine: DiffusersImages, blobs: FsspecBlobStore, checkpoint: Path, how: Any
) -> None:
    first = await generated(engine, generation(keeps_latents=True, sampling=SAMPLING))
    cells = (LARGE["height"] // CELL_PX, LARGE["width"] // CELL_PX)
    large = resampled(await latents_of(blobs, first), cells, how)
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(checkpoint)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    (theirs,) = pipeline(
        "a red boat",
        image=large,
        strength=0.6,
        num_inference_steps=5,
        generator=torch.Generator().manual_seed(5),
    ).images
    made = await opened(blobs, await second_pass(engine, latent_resampling=how))
    assert made.size == (64, 48)
    assert distance(made, theirs) <= 1
    pixels = await second_pass(engine, upscaler="lanczos")
    assert distance(await opened(blobs, pixels), theirs) > 1


async def test_latents_of_another_size_are_not_those_of_the_image(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    first = await generated(engine, generation(keeps_latents=True))
    other = await generated(engine, generation(size={"width": 16, "height": 16}))
    fields = {"resize": "latent", "size": LARGE, "strength": 0.5}
    source = other.images[0].image
    own = await image(engine, blobs, edit(source, **fields))
    foreign = edit(source, latents=first.images[0].latents, **fields)
    assert distance(await image(engine, blobs, foreign), own) == 0


async def test_what_are_no_latents_is_refused(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    first = await generated(engine, generation())
    for data in (b"no tensors", latent_bytes(torch.zeros(8, 12, 16))):
        blob: Blob = await blobs.write(chunks(data))
        request = edit(first.images[0].image, resize="latent", size=LARGE, latents=blob)
        with pytest.raises(InvalidRequest) as caught:
            await generated(engine, request)
        assert caught.value.param == "latents"


async def test_a_transformer_keeps_none(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(save_flux(tmp_path), blobs)
    made = await generated(engine, generation(keeps_latents=True))
    assert made.images[0].latents is None
    await engine.close()


@pytest.mark.parametrize("how", MODES)
def test_flat_latents_stay_flat(how: Any) -> None:
    flat = torch.full((1, 4, 6, 8), 0.5)
    assert torch.allclose(resampled(flat, (9, 16), how), torch.full((1, 4, 9, 16), 0.5))


def test_nearest_makes_no_new_values() -> None:
    ramp = torch.arange(12.0).view(1, 1, 3, 4)
    for how in ("nearest", "exact_nearest"):
        assert set(resampled(ramp, (6, 8), how).unique().tolist()) == {*range(12)}
    assert len(resampled(ramp, (6, 8), "bilinear").unique()) > 12
