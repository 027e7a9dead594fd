"""Drawing over images through the real diffusers: Stable Diffusion, its XL kind, and Flux."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops

from deployments.image.diffusers_images import DiffusersImages
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import InvalidRequest, PayloadTooLarge, UnsupportedCapability
from serve_app.core.image.images import Size
from serve_app.core.message import Progress
from tests.engine.image_requests import (
    distance,
    edit,
    engine_of,
    events_of,
    generated,
    generation,
    gradient,
    image,
    opened,
    stored,
)
from tests.engine.tiny_diffusion import save_flux, save_stable_diffusion, save_stable_diffusion_xl
from tests.images import chunks, claiming_png, png
from tests.notices import texts_of

KINDS: dict[str, Callable[[Path], Path]] = {
    "sd": save_stable_diffusion,
    "sdxl": save_stable_diffusion_xl,
    "flux": save_flux,
}


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(tmp_path_factory.mktemp(name)) for name, save in KINDS.items()}


@pytest.fixture(params=[*KINDS])
async def engine(
    request: pytest.FixtureRequest, checkpoints: dict[str, Path], blobs: FsspecBlobStore
) -> AsyncIterator[DiffusersImages]:
    engine = engine_of(checkpoints[request.param], blobs)
    yield engine
    await engine.close()


@pytest.fixture
async def sd(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore
) -> AsyncIterator[DiffusersImages]:
    engine = engine_of(checkpoints["sd"], blobs)
    yield engine
    await engine.close()


def left_half(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    return mask


async def test_every_verb_draws_with_the_same_weights(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    source = gradient((32, 24))
    made, mask = await stored(blobs, source), await stored(blobs, left_half((32, 24)))
    before = await image(engine, blobs, generation())
    for fields in ({}, {"mask": mask}):
        request = edit(made, strength=0.9, **fields)
        first, again = [await generated(engine, request) for _ in range(2)]
        result = await opened(blobs, first)
        assert result.size == (32, 24)
        assert distance(result, source) > 8
        assert first.images == again.images
        other = edit(made, strength=0.9, seed=6, **fields)
        assert await generated(engine, other) != first
    assert distance(before, await image(engine, blobs, generation())) == 0
    pipelines = engine._checkpoint._pipelines.values()
    names = {"unet", "transformer", "vae", "text_encoder"} & {*engine._checkpoint.first.components}
    for name in names:
        assert len({id(getattr(pipeline, name)) for pipeline in pipelines}) == 1


@pytest.mark.parametrize("size", [(32, 24), (33, 27)])
async def test_what_the_mask_leaves_out_is_left_bit_by_bit(
    engine: DiffusersImages, blobs: FsspecBlobStore, size: tuple[int, int]
) -> None:
    source = gradient(size)
    made, mask = await stored(blobs, source), await stored(blobs, left_half(size))
    result = await image(engine, blobs, edit(made, mask=mask, strength=0.99))
    assert result.size == size
    box = ImageChops.difference(result, source).getbbox()
    assert box is not None
    assert box[2] <= size[0] // 2


async def test_a_mask_that_selects_nothing_is_told(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    source = gradient((32, 24))
    made, mask = await stored(blobs, source), await stored(blobs, Image.new("L", (32, 24)))
    result = await generated(engine, edit(made, mask=mask))
    assert [warning for warning in texts_of(result.warnings) if warning.startswith("mask: ")]
    kept = await image(engine, blobs, edit(made, mask=mask))
    assert ImageChops.difference(kept, source).getbbox() is None


async def test_less_strength_leaves_more_and_none_leaves_all(
    sd: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    source = gradient((32, 24))
    made = await stored(blobs, source)
    assert distance(await image(sd, blobs, edit(made, strength=0)), source) == 0
    latents = []
    for strength in (0.01, 0.3, 1):
        events = [e async for e in events_of(sd, edit(made, strength=strength, steps=2))]
        assert isinstance(events[0], Progress)
        assert (events[-2].current, events[-2].total) == (2, 2)
        latents.append(events[-1].images[0].image.sha256)
    assert len({*latents}) == 3


async def test_a_given_size_is_rounded_and_told(
    sd: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    image = await stored(blobs, gradient((40, 20)))
    images = await generated(sd, edit(image, size=Size(width=23, height=25), strength=0))
    assert images.images[0].size == Size(width=24, height=24)
    assert texts_of(images.warnings) == ("size: rounded to 24x24, a multiple of 8",)
    middle = gradient((40, 20)).crop((10, 0, 30, 20)).resize((24, 24), Image.Resampling.LANCZOS)
    assert distance(await opened(blobs, images), middle) <= 4


async def test_the_size_of_the_model_keeps_the_proportions(
    sd: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    image = await stored(blobs, gradient((80, 20)))
    images = await generated(sd, edit(image, is_sized_by_model=True))
    assert images.images[0].size == Size(width=32, height=8)


async def test_what_it_was_made_from_is_written_into_the_file(
    sd: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    made = await stored(blobs, gradient((32, 24)))
    result = await image(sd, blobs, edit(made, strength=0.5, negative_prompt="a house"))
    assert result.info["parameters"] == (
        "a red boat\nNegative prompt: a house\n"
        "Steps: 4, Sampler: PNDMScheduler, CFG scale: 7.5, Seed: 5, Size: 32x24, Model: tiny, "
        "Denoising strength: 0.5"
    )


async def test_closing_the_stream_stops_at_the_next_step(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    image = await stored(blobs, gradient((32, 24)))
    seen: list[int] = []
    first = engine._checkpoint.first
    model = getattr(first, "unet", None) or first.transformer
    handle = model.register_forward_hook(lambda *_: seen.append(1))
    events: AsyncGenerator[Any] = events_of(engine, edit(image, steps=150, strength=1, count=3))
    async with aclosing(events):
        await anext(events)
    stopped_at = len(seen)
    assert 0 < stopped_at < 300
    handle.remove()
    assert (await generated(engine, edit(image))).images
    assert len(seen) == stopped_at


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"no image", InvalidRequest, "cannot be decoded"),
        (png()[:60], InvalidRequest, "cannot be decoded"),
        (png(size=(1, 1)), InvalidRequest, "1x1 cannot be edited at its own size"),
        (claiming_png(), PayloadTooLarge, "more than the allowed"),
    ],
)
async def test_bad_images_are_refused_and_the_engine_goes_on(
    sd: DiffusersImages,
    blobs: FsspecBlobStore,
    data: bytes,
    error: type[InvalidRequest],
    message: str,
) -> None:
    image = await blobs.write(chunks(data))
    with pytest.raises(error, match=message) as caught:
        await generated(sd, edit(image))
    assert caught.value.param == "image"
    good = await stored(blobs, gradient((32, 24)))
    with pytest.raises(InvalidRequest) as caught:
        await generated(sd, edit(good, mask=await blobs.write(chunks(b"no image"))))
    assert caught.value.param == "mask"
    assert (await generated(sd, edit(good))).images


async def test_a_single_pixel_covers_a_given_size(
    sd: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    made = await blobs.write(chunks(png("#102030", size=(1, 1))))
    request = edit(made, size=Size(width=32, height=24), strength=0)
    result = await image(sd, blobs, request)
    assert result.getcolors() == [(32 * 24, (16, 32, 48))]


async def test_a_checkpoint_for_inpainting_draws_nothing_else(
    tmp_path: Path, checkpoints: dict[str, Path], blobs: FsspecBlobStore
) -> None:
    from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel

    first = StableDiffusionInpaintPipeline.from_pretrained(checkpoints["sd"])
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(dict(first.unet.config) | {"in_channels": 9})
    StableDiffusionInpaintPipeline(**first.components | {"unet": unet}).save_pretrained(tmp_path)
    engine = engine_of(tmp_path, blobs)
    image = await stored(blobs, gradient((32, 24)))
    mask = await stored(blobs, left_half((32, 24)))
    assert (await generated(engine, edit(image, mask=mask))).images
    refused = ((edit(image), "edit images"), (generation(), "generate from text alone"))
    for request, what in refused:
        with pytest.raises(UnsupportedCapability, match=f"model 'tiny' cannot {what}") as caught:
            await generated(engine, request)
        assert caught.value.param == "model"
    await engine.close()
