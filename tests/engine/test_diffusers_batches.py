"""Requests that are drawn together: the same images as alone, each with its own way to end."""

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import torch

from deployments.image.diffusers_images import DiffusersImages
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.image.images import Images, Size
from serve_app.core.message import Progress
from tests.engine.image_requests import (
    distance,
    edit,
    engine_of,
    events_of,
    generated,
    generation,
    gradient,
    opened,
    stored,
)
from tests.engine.tiny_diffusion import save_flux, save_stable_diffusion

TOLERANCE = 2
"""Of 255: sums are rounded differently in a batch."""


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stable_diffusion(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture
async def engine(checkpoint: Path, blobs: FsspecBlobStore) -> AsyncIterator[DiffusersImages]:
    engine = engine_of(checkpoint, blobs, max_batch=4)
    yield engine
    await engine.close()


class Batches:
    """How many images the denoiser saw in each of its calls; guidance doubles them."""

    def __init__(self, engine: DiffusersImages) -> None:
        assert engine._checkpoint is not None
        first = engine._checkpoint.first
        self.sizes: list[int] = []
        model = getattr(first, "unet", None) or first.transformer
        model.register_forward_pre_hook(self._seen, with_kwargs=True)

    def _seen(self, _: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        latents = arguments[0] if arguments else named["hidden_states"]
        self.sizes.append(len(latents))


async def test_requests_with_the_same_settings_are_drawn_at_once_as_if_alone(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    requests = [
        generation(prompt=prompt, seed=seed)
        for prompt, seed in (("a red boat", 1), ("a green house", 2), ("a boat", 2), ("a", 9))
    ]
    alone = [await opened(blobs, await generated(engine, request)) for request in requests]
    batches = Batches(engine)
    together = await asyncio.gather(*(generated(engine, request) for request in requests))
    # Of three steps PNDM makes four.
    assert batches.sizes == [8] * 4
    for before, images, request in zip(alone, together, requests, strict=True):
        assert distance(before, await opened(blobs, images)) <= TOLERANCE
        assert images.images[0].seed == request.seed
        assert images.prompt_cache_hit


async def test_images_of_one_request_are_drawn_at_once_within_the_bound(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    batches = Batches(engine)
    six = await generated(engine, generation(count=6))
    assert sorted({*batches.sizes}) == [4, 8]
    for index in range(6):
        alone = await opened(blobs, await generated(engine, generation(seed=5 + index)))
        assert distance(alone, await opened(blobs, six, index)) <= TOLERANCE


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 4},
        {"guidance_scale": 3},
        {"size": Size(width=24, height=32)},
        {"scheduler": "ddim"},
        {"negative_prompt": "a house"},
    ],
)
async def test_requests_with_other_settings_are_not_mixed(
    engine: DiffusersImages, blobs: FsspecBlobStore, fields: dict[str, Any]
) -> None:
    alone = await opened(blobs, await generated(engine, generation(**fields)))
    batches = Batches(engine)
    _, other = await asyncio.gather(
        generated(engine, generation()), generated(engine, generation(**fields))
    )
    assert {*batches.sizes} == {2}
    assert distance(alone, await opened(blobs, other)) == 0


async def test_images_drawn_over_others_are_batched_too(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    images = [await stored(blobs, gradient((32, 24)).rotate(angle)) for angle in (0, 180)]
    mask = await stored(blobs, gradient((32, 24)).convert("L"))
    for fields in ({}, {"mask": mask}):
        requests = [edit(image, seed=seed, **fields) for seed, image in enumerate(images)]
        alone = [await opened(blobs, await generated(engine, request)) for request in requests]
        batches = Batches(engine)
        together = await asyncio.gather(*(generated(engine, request) for request in requests))
        assert {*batches.sizes} == {4}
        for before, made in zip(alone, together, strict=True):
            assert distance(before, await opened(blobs, made)) <= TOLERANCE


async def test_flux_is_batched(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(save_flux(tmp_path), blobs)
    requests = [generation(prompt=prompt) for prompt in ("a red boat", "a house")]
    alone = [await opened(blobs, await generated(engine, request)) for request in requests]
    batches = Batches(engine)
    together = await asyncio.gather(*(generated(engine, request) for request in requests))
    assert {*batches.sizes} == {2}
    for before, made in zip(alone, together, strict=True):
        assert distance(before, await opened(blobs, made)) <= TOLERANCE
    await engine.close()


async def test_each_request_has_progress_of_its_own(engine: DiffusersImages) -> None:
    async def counts(**fields: Any) -> list[tuple[int, int | None]]:
        events = [event async for event in events_of(engine, generation(**fields))]
        return [(e.current, e.total) for e in events if isinstance(e, Progress)]

    one, two = await asyncio.gather(counts(), counts(count=2))
    assert {total for _, total in one} == {3}
    assert {total for _, total in two} == {6}
    for steps, total in ((one, 3), (two, 6)):
        assert [current for current, _ in steps] == sorted(current for current, _ in steps)
        assert steps[-1][0] == total


async def test_who_leaves_does_not_stop_the_others(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    alone = await opened(blobs, await generated(engine, generation(steps=40, seed=2)))
    batches = Batches(engine)

    async def leave() -> None:
        events: Any = events_of(engine, generation(steps=40, seed=1))
        async with aclosing(events):
            await anext(events)

    _, stayed = await asyncio.gather(leave(), generated(engine, generation(steps=40, seed=2)))
    assert {*batches.sizes} == {4}
    assert distance(alone, await opened(blobs, stayed)) <= TOLERANCE


async def test_who_leaves_the_line_is_never_drawn(engine: DiffusersImages) -> None:
    first = asyncio.create_task(generated(engine, generation(steps=60)))
    waiting = asyncio.create_task(generated(engine, generation(steps=61)))
    await asyncio.sleep(0.1)
    waiting.cancel()
    batches = Batches(engine)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await first
    assert len(batches.sizes) <= 61


async def test_a_batch_that_is_too_large_for_memory_is_drawn_one_by_one(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    assert engine._checkpoint is not None

    def fail(_: Any, arguments: tuple[Any, ...]) -> None:
        if len(arguments[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    handle = engine._checkpoint.first.unet.register_forward_pre_hook(fail)
    both = await asyncio.gather(
        generated(engine, generation(seed=1)), generated(engine, generation(seed=2))
    )
    assert all(isinstance(images, Images) for images in both)
    handle.remove()
    alone = await opened(blobs, await generated(engine, generation(seed=2)))
    assert distance(alone, await opened(blobs, both[1])) == 0


async def test_what_is_wrong_is_told_to_all_and_to_nobody_else(engine: DiffusersImages) -> None:
    requests = [generation(scheduler="magic"), generation(scheduler="magic", seed=1), generation()]
    outcomes = await asyncio.gather(
        *(generated(engine, request) for request in requests), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [InvalidRequest, InvalidRequest, Images]


async def test_closing_the_engine_frees_the_weights(
    checkpoint: Path, blobs: FsspecBlobStore
) -> None:
    engine = engine_of(checkpoint, blobs)
    await generated(engine, generation())
    assert engine._checkpoint is not None
    unet = weakref.ref(engine._checkpoint.first.unet)
    await engine.close()
    assert unet() is None
    with pytest.raises(BackendUnavailable, match="was unloaded"):
        await generated(engine, generation())


async def test_closing_the_engine_ends_what_waits(checkpoint: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(checkpoint, blobs, max_batch=1)
    tasks = [
        asyncio.create_task(generated(engine, generation(steps=150, seed=s))) for s in range(3)
    ]
    await asyncio.sleep(0.3)
    await engine.close()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    ended = [outcome for outcome in outcomes if isinstance(outcome, BackendUnavailable)]
    assert len(ended) >= 2
    assert all(error.retry_after_s for error in ended)
