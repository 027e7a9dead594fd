"""Prompts that change on the way, and images that are composed of several, through diffusers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from deployments.image.diffusers_images import DiffusersImages
from deployments.image.guided_prompts import GuidedPrompts
from deployments.image.weighted_embeddings import WeightedEmbeddings
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import InvalidRequest
from tests.engine.image_requests import (
    distance,
    edit,
    engine_of,
    generated,
    generation,
    gradient,
    image,
    opened,
    stored,
)
from tests.engine.tiny_diffusion import save_flux, save_stable_diffusion, save_stable_diffusion_xl

GUIDED = {"weighs_words": True, "guidance_scale": 6.0, "negative_prompt": "house"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stable_diffusion(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="module")
def large_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stable_diffusion_xl(tmp_path_factory.mktemp("xl"))


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module", params=["checkpoint", "large_checkpoint"])
def engine(request: pytest.FixtureRequest, blobs: FsspecBlobStore) -> Iterator[DiffusersImages]:
    """A Stable Diffusion, then an SDXL."""
    engine = engine_of(request.getfixturevalue(request.param), blobs)
    yield engine
    asyncio.run(engine.close())


@pytest.mark.parametrize(
    ("changing", "same", "sampler"),
    [
        ("a [red:green:0] boat", "a green boat", "euler"),
        ("a [red:green:3] boat", "a red boat", "euler"),
        ("a [red:green:3] boat", "a red boat", "heun"),
        ("a red boat AND a red boat :0", "a red boat", "euler"),
        ("a red boat :0.3 AND a red boat :0.7", "a red boat", "heun"),
    ],
)
async def test_what_changes_nothing(
    engine: DiffusersImages, blobs: FsspecBlobStore, sampler: str, changing: str, same: str
) -> None:
    fields = GUIDED | {"sampling": {"sampler": sampler}}
    plain = await image(engine, blobs, generation(prompt=same, **fields))
    assert distance(await image(engine, blobs, generation(prompt=changing, **fields)), plain) <= 1


@pytest.mark.parametrize(
    ("changing", "guidance"),
    [
        ("a [red:green:2] boat", 6.0),
        ("a [red|green] boat", 6.0),
        ("a red boat AND a green boat", 6.0),
        ("a [red:green:2] boat", 1.0),
        ("a red boat AND a green boat", 1.0),
    ],
)
async def test_what_changes_the_image(
    engine: DiffusersImages, blobs: FsspecBlobStore, guidance: float, changing: str
) -> None:
    fields = GUIDED | {"guidance_scale": guidance, "steps": 4}
    made = await generated(engine, generation(prompt=changing, **fields))
    changed = await opened(blobs, made)
    for prompt in ("a red boat", "a green boat"):
        plain = await image(engine, blobs, generation(prompt=prompt, **fields))
        assert distance(changed, plain) > 0


async def test_a_negative_prompt_changes(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    fields = GUIDED | {"steps": 4}
    images = [
        await image(engine, blobs, generation(**(fields | {"negative_prompt": text})))
        for text in ("[house:green:0]", "green", "[house:green:2]", "house")
    ]
    assert distance(images[0], images[1]) <= 1
    assert distance(images[2], images[1]) > 0
    assert distance(images[2], images[3]) > 0


@pytest.mark.parametrize("guidance", [1.0, 6.0])
def test_the_library_changes_the_prompt_at_the_same_step(checkpoint: Path, guidance: float) -> None:
    """By its own means, which is the callback that may replace tensors."""
    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    embeddings = WeightedEmbeddings(pipeline)
    red, green = [embeddings.arguments([text], [""]) for text in ("a red boat", "a green boat")]

    def change(_: Any, step: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
        parts = [green["negative_prompt_embeds"]] * (guidance > 1) + [green["prompt_embeds"]]
        return values | ({"prompt_embeds": torch.cat(parts)} if step == 1 else {})

    theirs = latents_of(
        pipeline,
        guidance,
        **red,
        callback_on_step_end=change,
        callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
    )
    guided = GuidedPrompts(["a [red:green:2] boat"], [""], steps=4)
    readings = embeddings.arguments(guided.texts, guided.negatives)
    with guided.followed(pipeline):
        ours = latents_of(pipeline, guidance, **guided.begun(readings))
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert not pipeline.unet._forward_hooks
    assert not pipeline.unet._forward_pre_hooks


def latents_of(pipeline: Any, guidance: float, **arguments: Any) -> torch.Tensor:
    made: torch.Tensor = pipeline(
        num_inference_steps=4,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(3),
        output_type="latent",
        **arguments,
    ).images
    return made


class Marked(torch.nn.Module):
    """A UNet whose noise is what it reads."""

    def forward(self, sample: torch.Tensor, time: Any, encoder_hidden_states: torch.Tensor) -> Any:
        return (encoder_hidden_states.mean(dim=(1, 2)).view(-1, 1, 1, 1) + 0 * sample,)


class Scheduler:
    order = 1


class MarkedPipeline:
    def __init__(self) -> None:
        self.unet = Marked()
        self.scheduler = Scheduler()


@pytest.mark.parametrize("is_guided", [True, False])
def test_a_composition_is_the_sum_of_what_its_texts_add(is_guided: bool) -> None:
    """The first image: 0.5 + 2 (3 - 0.5) - (7 - 0.5) = -1; the second follows one text alone."""
    guided = GuidedPrompts(["three :2 AND seven :-1", "five"], ["", ""], steps=1)
    assert guided.texts == ["three", "seven", "five"]
    readings = {
        "prompt_embeds": torch.tensor([3.0, 7.0, 5.0]).view(3, 1, 1),
        "negative_prompt_embeds": torch.tensor([0.5]).view(1, 1, 1),
    }
    pipeline = MarkedPipeline()
    begun = guided.begun(readings)
    hidden = begun["prompt_embeds"]
    if is_guided:
        hidden = torch.cat([begun["negative_prompt_embeds"], hidden])
    with guided.followed(pipeline):
        noise = pipeline.unet(torch.zeros(len(hidden), 1, 2, 2), 5, encoder_hidden_states=hidden)[0]
    expected = [0.5, 0.5, -1.0, 5.0] if is_guided else [-1.0, 5.0]
    assert noise[:, 0, 0, 0].tolist() == pytest.approx(expected)


async def test_images_with_other_changes_are_made_at_once(
    checkpoint: Path, blobs: FsspecBlobStore
) -> None:
    engine = engine_of(checkpoint, blobs)
    prompts = ["a [red:green:2] boat", "a red boat AND a green house :0.5", "a green boat"]
    requests = [generation(prompt=text, steps=4, **GUIDED) for text in prompts]
    alone = [await image(engine, blobs, request) for request in requests]
    together = await asyncio.gather(*(image(engine, blobs, request) for request in requests))
    for one, other in zip(alone, together, strict=True):
        assert distance(one, other) <= 2
    await engine.close()


async def test_an_edit_changes_its_prompt(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    blob = await stored(blobs, gradient((32, 32)))
    fields = GUIDED | {"strength": 0.5, "steps": 8}
    images = [
        await image(engine, blobs, edit(blob, prompt=text, **fields))
        for text in ("a [red:green:2] boat", "a red boat", "a green boat", "a [red:green:4] boat")
    ]
    assert distance(images[0], images[1]) > 0
    assert distance(images[0], images[2]) > 0
    # Half of the steps are taken, and counted from the first of these.
    assert distance(images[3], images[1]) <= 1


async def test_an_earlier_pass_is_counted(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    later = await image(
        engine, blobs, generation(prompt="a [red:green:0.5] boat", steps_before=3, **GUIDED)
    )
    plain = await image(engine, blobs, generation(prompt="a green boat", **GUIDED))
    assert distance(later, plain) <= 1


async def test_too_many_texts_are_refused(engine: DiffusersImages) -> None:
    with pytest.raises(InvalidRequest, match="at most 16") as caught:
        await generated(engine, generation(prompt=" AND ".join("a" * 17), weighs_words=True))
    assert caught.value.param == "prompt"


async def test_a_transformer_reads_the_plain_prompt(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(save_flux(tmp_path), blobs)
    changing = generation(prompt="a [red:green:0.2] boat", weighs_words=True)
    made = await generated(engine, changing)
    assert len(made.warnings) == 1
    plain = await image(engine, blobs, generation(prompt="a green boat"))
    assert distance(await opened(blobs, made), plain) == 0
    await engine.close()
