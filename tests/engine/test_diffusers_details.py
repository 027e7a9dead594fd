"""Samplers, variations, weighted words, masks and previews through the real diffusers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
from PIL import Image, ImageChops, ImageDraw

from deployments.image.diffusers_images import DiffusersImages
from deployments.image.diffusers_sampling import SamplerTable
from deployments.image.latent_previews import LatentPreviews
from deployments.image.noise_schedules import RAMPS
from deployments.image.seamless_padding import seamless
from deployments.image.varied_noise import mixed
from deployments.image.weighted_embeddings import WeightedEmbeddings, chunks_of, scaled
from deployments.media.weighted_prompts import weighted_texts
from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.catalog import Catalog
from serve_app.catalog.engine_runner import runner_of
from serve_app.core.config import AppConfig
from serve_app.core.image.images import HiresPass, Images
from serve_app.core.image.samplers import FLOW, ImageSampling, Sampler, Schedule
from serve_app.core.media import PreviewedProgress
from serve_app.core.status import ModelStatus
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
from tests.notices import texts_of


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stable_diffusion(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def large_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stable_diffusion_xl(tmp_path_factory.mktemp("xl"))


@pytest.fixture(scope="module")
def engine(checkpoint: Path, blobs: FsspecBlobStore) -> Iterator[DiffusersImages]:
    """Of all tests: it is as before after each request."""
    engine = engine_of(checkpoint, blobs)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="module", params=["checkpoint", "large_checkpoint"])
def either(request: pytest.FixtureRequest, blobs: FsspecBlobStore) -> Iterator[DiffusersImages]:
    """A Stable Diffusion, then an SDXL."""
    engine = engine_of(request.getfixturevalue(request.param), blobs)
    yield engine
    asyncio.run(engine.close())


@pytest.mark.parametrize("sampler", get_args(Sampler))
async def test_every_sampler_runs(
    engine: DiffusersImages, blobs: FsspecBlobStore, sampler: Sampler
) -> None:
    made = await generated(engine, generation(sampling={"sampler": sampler}))
    assert made.warnings == ()
    text = (await opened(blobs, made)).info["parameters"]
    assert f"Sampler: {sampler}" in text


@pytest.mark.parametrize("schedule", get_args(Schedule))
async def test_every_schedule_is_one_of_its_own(
    engine: DiffusersImages, blobs: FsspecBlobStore, schedule: Schedule
) -> None:
    sampling = {"sampler": "euler", "schedule": schedule}
    made = await generated(engine, generation(sampling=sampling, steps=5))
    assert made.warnings == ()
    other = "karras" if schedule != "karras" else "beta"
    differing = generation(sampling={"sampler": "euler", "schedule": other}, steps=5)
    assert distance(await opened(blobs, made), await image(engine, blobs, differing)) > 0


async def test_what_was_sampled_with_is_told(
    engine: DiffusersImages, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    """A schedule may be for the model and not for the sampler."""
    asked = {"sampler": "ddim", "schedule": "karras"}
    made = await generated(engine, generation(sampling=asked))
    assert made.sampling == ImageSampling(sampler="ddim")
    flux = engine_of(save_flux(tmp_path), blobs)
    made = await generated(flux, generation(sampling={"sampler": "heun"}))
    assert made.sampling == ImageSampling(sampler="euler")
    assert "Sampler: euler" in (await opened(blobs, made)).info["parameters"]
    assert (await generated(flux, generation())).sampling is None
    await flux.close()


def euler(**options: Any) -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", **options
    )


def test_karras_is_what_the_library_computes() -> None:
    table = SamplerTable(euler(), is_large=False)
    ours = table.scheduler(ImageSampling(sampler="euler", schedule="karras")).scheduler
    theirs = euler(use_karras_sigmas=True)
    for each in (ours, theirs):
        each.set_timesteps(12)
    assert torch.allclose(ours.sigmas, theirs.sigmas, rtol=1e-4)
    ancestral = table.scheduler(ImageSampling(sampler="euler_a", schedule="karras")).scheduler
    ancestral.set_timesteps(12)
    assert torch.allclose(ancestral.sigmas, theirs.sigmas, rtol=1e-3)


@pytest.mark.parametrize("name", RAMPS)
def test_schedules_fall_from_the_largest_to_the_smallest(name: Schedule) -> None:
    sigmas = RAMPS[name](0.03, 14.6, 10)
    assert list(sigmas) == sorted(sigmas, reverse=True)
    assert (sigmas[0], sigmas[-1]) == (pytest.approx(14.6, rel=0.01), pytest.approx(0.03, rel=0.05))


async def test_what_a_model_cannot_run_is_said(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(save_flux(tmp_path), blobs)
    assert engine.image_facts == FLOW
    made = await generated(
        engine,
        generation(
            prompt="a (red:1.3) boat",
            sampling={"sampler": "heun", "schedule": "sgm_uniform"},
            weighs_words=True,
            clip_skip=2,
            is_tileable=True,
        ),
    )
    assert texts_of(made.warnings) == (
        "weighs_words: has no effect with this model",
        "clip_skip: has no effect with this model",
        "is_tileable: has no effect with this model",
        "sampling.sampler: 'heun' is not for this model; 'euler' was used",
        "sampling.schedule: 'sgm_uniform' is not for this sampler; its own was used",
    )
    plain = await image(engine, blobs, generation())
    assert distance(await opened(blobs, made), plain) == 0
    varied = generation(variation={"seed": 6, "strength": 1})
    assert (
        distance(await image(engine, blobs, varied), await image(engine, blobs, generation(seed=6)))
        <= 1
    )
    await engine.close()


async def test_a_transformer_edits_with_other_noise(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(save_flux(tmp_path), blobs)
    blob = await stored(blobs, gradient((32, 32)))
    mask = await stored(blobs, Image.new("L", (32, 32), 255))
    fields = {"strength": 0.8, "variation": {"seed": 9, "strength": 1}, "preview_every_s": 0}
    own = await image(engine, blobs, edit(blob, strength=0.8))
    made = await generated(engine, edit(blob, **fields))
    assert made.warnings == ()
    assert distance(await opened(blobs, made), own) > 0
    masked = await generated(engine, edit(blob, mask=mask, mask_fill="noise", **fields))
    assert texts_of(masked.warnings) == ("variation: has no effect with this model",)
    await engine.close()


async def test_a_variation_goes_from_one_seed_to_the_other(
    either: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    engine = either
    own, other = [await image(engine, blobs, generation(seed=seed)) for seed in (5, 9)]
    ends = [
        await image(engine, blobs, generation(variation={"seed": 9, "strength": strength}))
        for strength in (0, 1)
    ]
    assert distance(ends[0], own) == 0
    assert distance(ends[1], other) <= 1
    between = await image(engine, blobs, generation(variation={"seed": 9, "strength": 0.5}))
    assert distance(between, own) > 0
    assert distance(between, other) > 0


def test_mixed_noise_keeps_its_length() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn((2, 4, 64, 64), generator=generator)
    half = mixed(0.5, one, other)
    assert float(half.std()) == pytest.approx(1.0, abs=0.05)
    assert float((one / 2 + other / 2).std()) == pytest.approx(0.707, abs=0.05)
    assert torch.allclose(mixed(0.0, one, other), one, atol=1e-4)


async def test_noise_of_another_size_lies_in_the_middle(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    from_size = {"width": 16, "height": 16}
    made = await image(engine, blobs, generation(variation={"seed": 1, "from_size": from_size}))
    assert distance(made, await image(engine, blobs, generation())) > 0
    same = {"width": 32, "height": 24}
    whole = await image(engine, blobs, generation(variation={"seed": 1, "from_size": same}))
    assert distance(whole, await image(engine, blobs, generation())) == 0


async def test_a_weight_of_one_is_none(either: DiffusersImages, blobs: FsspecBlobStore) -> None:
    fields = {"negative_prompt": "green", "guidance_scale": 4.0}
    plain = await image(either, blobs, generation(**fields))
    weighed = generation(prompt="a (red:1.0) boat", weighs_words=True, **fields)
    assert distance(await image(either, blobs, weighed), plain) <= 1
    strong = generation(prompt="a (red:1.8) boat", weighs_words=True, **fields)
    assert distance(await image(either, blobs, strong), plain) > 0


async def test_layers_that_are_skipped(either: DiffusersImages, blobs: FsspecBlobStore) -> None:
    """With and without weights the same ones."""
    own = await image(either, blobs, generation(guidance_scale=1.0))
    images = [
        await image(either, blobs, generation(guidance_scale=1.0, clip_skip=3, weighs_words=weighs))
        for weighs in (True, False)
    ]
    assert distance(images[0], own) > 0
    assert distance(*images) <= 1


def test_a_word_is_scaled_by_its_weight(checkpoint: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint)
    embeddings = WeightedEmbeddings(pipeline)
    plain, heavy = (
        embeddings.arguments([text], [""])["prompt_embeds"][0]
        for text in ("a red boat", "a (red:1.5) boat")
    )
    ratio = (heavy / plain).mean(dim=-1)
    assert float(ratio[1] / ratio[0]) == pytest.approx(1.5, rel=1e-3)
    assert float(ratio[2] / ratio[0]) == pytest.approx(1.0, rel=1e-3)


def test_vectors_keep_their_mean() -> None:
    vectors = torch.rand((1, 4, 8), generator=torch.Generator().manual_seed(0))
    made = scaled(vectors, [1.0, 1.5, 0.5, 1.0])
    assert float(made.mean()) == pytest.approx(float(vectors.mean()))
    assert float((made / vectors)[0, 1].mean() / (made / vectors)[0, 2].mean()) == pytest.approx(3)


def test_long_prompts_are_cut_into_chunks(checkpoint: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint)
    tokenizer = pipeline.tokenizer
    words = ["red", "boat"] * 20
    chunks = chunks_of(weighted_texts(" ".join(words)), tokenizer)
    assert [len(chunk.tokens) for chunk in chunks] == [16, 16, 8]
    assert [
        len(chunk.tokens) for chunk in chunks_of(weighted_texts("a BREAK red boat"), tokenizer)
    ] == [1, 2]
    embeds = WeightedEmbeddings(pipeline).arguments([" ".join(words)], ["a"])
    assert embeds["prompt_embeds"].shape == embeds["negative_prompt_embeds"].shape == (1, 48, 16)


def test_what_is_seamless_knows_no_edge(checkpoint: Path) -> None:
    """Noise that is moved around makes the same image, moved around."""
    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint)
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    moved = noise.roll((2, 4), dims=(2, 3))

    def made(latents: torch.Tensor) -> Any:
        fields = {"num_inference_steps": 2, "output_type": "pt", "width": 16, "height": 16}
        return pipeline("a red boat", latents=latents, **fields).images[0]

    with seamless(pipeline):
        images = made(noise), made(moved)
    assert torch.allclose(images[0].roll((4, 8), dims=(1, 2)), images[1], atol=1e-3)
    assert not torch.allclose(made(noise).roll((4, 8), dims=(1, 2)), made(moved), atol=1e-2)


async def test_a_request_is_seamless_and_the_next_one_is_not(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    plain = await image(engine, blobs, generation())
    assert distance(await image(engine, blobs, generation(is_tileable=True)), plain) > 0
    assert distance(await image(engine, blobs, generation()), plain) == 0


async def test_previews_look_like_what_comes(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    size = {"width": 64, "height": 48}
    request = generation(preview_every_s=0, size=size, steps=2, sampling={"sampler": "ddim"})
    engine_previews = []
    result: Images | None = None
    async for event in events_of(engine, request):
        if isinstance(event, PreviewedProgress):
            engine_previews.append(event.preview)
        elif isinstance(event, Images):
            result = event
    assert result is not None
    assert engine_previews
    assert engine_previews[0].mime == "image/jpeg"


def alike(one: Any, other: Any) -> float:
    return float(np.corrcoef(np.asarray(one).ravel(), np.asarray(other).ravel())[0, 1])


def seen(vae: Any, latents: torch.Tensor) -> Any:
    """The preview of latents, from -1 to 1, and what the decoder makes of them, a pixel a cell."""
    image = LatentPreviews(vae, torch.device("cpu")).image(latents[0])
    preview = np.asarray(image, dtype=np.float64) / 127.5 - 1
    with torch.no_grad():
        decoded = vae.decode(latents / vae.config.scaling_factor).sample[0].clamp(-1, 1)
    real = torch.nn.functional.adaptive_avg_pool2d(decoded, tuple(latents.shape[-2:]))
    return preview, real.permute(1, 2, 0).numpy()


def test_the_preview_of_a_linear_decoder_is_what_it_decodes() -> None:
    latents = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(3))
    preview, real = seen(LinearAutoencoder(), latents)
    assert np.abs(preview - real).max() < 0.02


def test_a_preview_is_the_best_that_is_linear(checkpoint: Path) -> None:
    """A decoder of random weights is far from linear; about the best is what can be had of it."""
    vae = StableDiffusionPipeline.from_pretrained(checkpoint).vae
    latents = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(3))
    preview, real = seen(vae, latents)
    rows = latents[0].reshape(4, -1).T.numpy()
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    for colour in range(3):
        wanted = real[..., colour].ravel()
        best = rows @ np.linalg.lstsq(rows, wanted, rcond=None)[0]
        assert alike(preview[..., colour], wanted) > 0.6 * alike(best, wanted) > 0


class LinearAutoencoder:
    """Cells of 8 by 8 pixels, whose colours are sums of the channels."""

    dtype, device = torch.float32, torch.device("cpu")
    config = SimpleNamespace(scaling_factor=0.2, shift_factor=None)
    weights = torch.tensor([[0.06, 0.0, 0.0, 0.02], [0.0, 0.05, 0.0, 0.0], [0.0, 0.03, 0.04, 0.0]])

    def encode(self, images: torch.Tensor) -> Any:
        small = torch.nn.functional.avg_pool2d(images, 8)
        latents = torch.einsum("bchw,dc->bdhw", small, torch.linalg.pinv(self.weights))
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: latents))

    def decode(self, latents: torch.Tensor) -> Any:
        small = torch.einsum("bdhw,cd->bchw", latents, self.weights)
        return SimpleNamespace(sample=torch.nn.functional.interpolate(small, scale_factor=8))


async def test_batches_come_one_by_one(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    request = generation(count=5, batch_size=2, can_end_early=True, leaves_out=(1,))
    parts = [event async for event in events_of(engine, request) if isinstance(event, Images)]
    seeds = [[made.seed - 5 for made in part.images] for part in parts]
    assert seeds == [[0], [0, 2, 3], [0, 2, 3, 4]]
    alone = await image(engine, blobs, generation(seed=8))
    assert distance(await opened(blobs, parts[-1], 2), alone) <= 1


@pytest.mark.parametrize("fill", ["original", "surroundings", "noise", "nothing"])
@pytest.mark.parametrize("padding", [None, 4])
async def test_outside_the_mask_nothing_changes(
    engine: DiffusersImages, blobs: FsspecBlobStore, fill: str, padding: int | None
) -> None:
    source = gradient((48, 32))
    mask = Image.new("L", source.size)
    ImageDraw.Draw(mask).rectangle((16, 8, 31, 23), fill=255)
    request = edit(
        await stored(blobs, source),
        mask=await stored(blobs, mask),
        mask_fill=fill,
        region_padding=padding,
        mask_reading="brightness",
        strength=0.8,
        size={"width": 48, "height": 32},
    )
    made = await image(engine, blobs, request)
    changed = ImageChops.difference(made.convert("RGB"), source).getbbox()
    assert changed is not None
    left, top, right, bottom = changed
    assert (left, top) >= (16, 8)
    assert right <= 32
    assert bottom <= 24


async def test_fills_differ(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    source, mask = gradient((32, 32)), Image.new("L", (32, 32), 255)
    fields = {"mask": await stored(blobs, mask), "strength": 0.6}
    blob = await stored(blobs, source)
    images = [
        await image(engine, blobs, edit(blob, mask_fill=fill, **fields))
        for fill in ("original", "noise", "nothing")
    ]
    assert distance(images[0], images[1]) > 0
    assert distance(images[0], images[2]) > 0
    assert distance(images[1], images[2]) > 0


async def test_sources_are_resized_as_latents(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    blob = await stored(blobs, gradient((24, 16)))
    fields = {"size": {"width": 48, "height": 32}, "strength": 0.5}
    latent = await generated(engine, edit(blob, resize="latent", **fields))
    pixels = await image(engine, blobs, edit(blob, resize="stretch", **fields))
    made = await opened(blobs, latent)
    assert (made.size, latent.warnings) == ((48, 32), ())
    assert distance(made, pixels) > 0


async def test_the_noise_of_an_edit(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    blob = await stored(blobs, gradient((32, 32)))
    own = await image(engine, blobs, edit(blob, strength=0.9))
    other = await image(engine, blobs, edit(blob, strength=0.9, seed=9))
    varied = edit(blob, strength=0.9, variation={"seed": 9, "strength": 1})
    made = await image(engine, blobs, varied)
    assert distance(made, other) < distance(made, own)
    less = await image(engine, blobs, edit(blob, strength=0.9, noise_scale=0.5))
    assert distance(less, own) > 0


async def test_details_of_samplers(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    plain = await image(engine, blobs, generation(sampling={"sampler": "euler"}, steps=6))
    churned = generation(sampling={"sampler": "euler", "churn": 10, "noise": 1.01}, steps=6)
    assert distance(await image(engine, blobs, churned), plain) > 0
    ddim = await image(engine, blobs, generation(sampling={"sampler": "ddim", "eta": 0}))
    noisy = await image(engine, blobs, generation(sampling={"sampler": "ddim", "eta": 1}))
    assert distance(ddim, noisy) > 0
    still = generation(sampling={"sampler": "euler_a", "eta": 0}, steps=6)
    assert distance(await image(engine, blobs, still), plain) <= 1
    lost = await generated(engine, generation(sampling={"sampler": "dpm2", "churn": 1, "eta": 0.5}))
    assert texts_of(lost.warnings) == (
        "sampling.churn: has no effect with this sampler",
        "sampling.eta: has no effect with this sampler",
    )


async def test_a_second_pass_over_latents(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    families = [{"name": "images", "options": {"engine": "diffusers"}, "models": [{"id": "tiny"}]}]
    config = AppConfig.model_validate({"families": families})
    catalog = Catalog(config, {"images": runner_of(engine)}, statuses=no_statuses)
    hires = HiresPass(upscaler="latent", strength=0.6, steps=3)
    made = await catalog.answer(generation(hires=hires, count=2))
    assert ([still.seed for still in made.images], made.warnings) == ([5, 6], ())
    first, second = [await opened(blobs, made, index) for index in (0, 1)]
    assert first.size == second.size == (64, 48)
    assert distance(first, second) > 0


async def no_statuses() -> dict[str, ModelStatus]:
    return {}
