"""LoRAs, other autoencoders and reference images beside a model, and gone afterwards."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from deployments.image.diffusers_images import DiffusersImages
from deployments.image.starter_images import save_ip_adapter
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import (
    BackendUnavailable,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedCapability,
)
from serve_app.core.image.attachments import Lora, References
from serve_app.core.media import Blob
from serve_app.core.options.image import DiffusersOptions
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
from tests.engine.tiny_diffusion import (
    save_flux,
    save_lora,
    save_stable_diffusion,
    save_stable_diffusion_xl,
    save_vae,
)
from tests.notices import texts_of

# The library says of every IP-Adapter that no module of the UNet wants another number type.
logging.getLogger("diffusers.models.modeling_utils").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from diffusers import UNet2DConditionModel

    path = save_stable_diffusion(tmp_path_factory.mktemp("diffusion"))
    unet = UNet2DConditionModel.from_pretrained(path, subfolder="unet")
    save_ip_adapter(path / "ip_adapter", unet)
    return path


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stable_diffusion_xl(tmp_path_factory.mktemp("xl"))


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    return save_lora(tmp_path_factory.mktemp("lora"), checkpoint)


@pytest.fixture(scope="module")
def vaes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        "other": str(save_vae(tmp_path_factory.mktemp("vae"))),
        "misfit": str(save_vae(tmp_path_factory.mktemp("misfit"), latent_channels=8)),
        "gone": str(tmp_path_factory.mktemp("empty")),
    }


@pytest.fixture
async def engine(
    checkpoint: Path, blobs: FsspecBlobStore, lora: Path, vaes: dict[str, str]
) -> AsyncIterator[DiffusersImages]:
    loras = {"style": str(lora.parent), "file": str(lora), "empty": vaes["gone"]}
    engine = engine_of(checkpoint, blobs, loras=loras, vaes=vaes)
    yield engine
    await engine.close()


async def file_of(blobs: FsspecBlobStore, path: Path) -> Blob:
    return await blobs.write_file(path)


async def test_a_lora_changes_the_image_and_is_gone_afterwards(
    engine: DiffusersImages, blobs: FsspecBlobStore, lora: Path
) -> None:
    before = await image(engine, blobs, generation())
    blob = await file_of(blobs, lora)
    results = []
    for given in (
        Lora(file=blob),
        Lora(registered="style"),
        Lora(registered="file"),
        Lora(file=blob, weight=0.3),
    ):
        images = await generated(engine, generation(loras=(given,)))
        assert images.warnings == ()
        results.append(await opened(blobs, images))
        assert distance(before, await image(engine, blobs, generation())) == 0
    assert distance(results[0], before) > TOLERANCE
    assert distance(results[0], results[1]) == distance(results[1], results[2]) == 0
    assert distance(results[3], results[0]) > 0
    assert results[0].info["parameters"].endswith(f"LoRAs: {blob.sha256[:12]}:1")
    none = await image(engine, blobs, generation(loras=(Lora(file=blob, weight=0),)))
    assert distance(none, before) <= TOLERANCE


TOLERANCE = 2


async def test_two_loras_and_an_image_to_draw_over(
    engine: DiffusersImages, blobs: FsspecBlobStore, checkpoint: Path, lora: Path, tmp_path: Path
) -> None:
    first = Lora(file=await file_of(blobs, lora))
    second = Lora(file=await file_of(blobs, save_lora(tmp_path, checkpoint, seed=8)))
    made = await stored(blobs, gradient((32, 24)))
    images = [
        await image(engine, blobs, edit(made, strength=1, loras=loras))
        for loras in ((), (first,), (first, second))
    ]
    assert distance(images[0], images[1]) > 0
    assert distance(images[1], images[2]) > 0


async def test_loras_that_do_not_fit_are_refused_and_leave_nothing_behind(
    engine: DiffusersImages, blobs: FsspecBlobStore, xl: Path, lora: Path, tmp_path: Path
) -> None:
    import torch

    before = await image(engine, blobs, generation())
    foreign = tmp_path / "foreign.safetensors"
    save_file({"transformer.x.lora_A.weight": torch.ones(2, 2)}, foreign)
    plain = tmp_path / "plain.safetensors"
    save_file({"weight": torch.ones(2, 2)}, plain)
    text = tmp_path / "text.safetensors"
    text.write_text("no tensors")
    for bad in (save_lora(tmp_path / "xl", xl), foreign, plain, text):
        good = Lora(registered="style")
        request = generation(loras=(good, Lora(file=await file_of(blobs, bad))))
        with pytest.raises(InvalidRequest) as caught:
            await generated(engine, request)
        assert caught.value.param == "loras[1]", bad
    assert distance(before, await image(engine, blobs, generation())) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Lora(registered="nothing"), "unknown LoRA 'nothing'.*'style'"),
        (Lora(registered="empty"), "has 0 safetensors files"),
        (Lora(source="some/lora"), "LoRAs from the hub are not allowed"),
    ],
)
async def test_loras_that_are_not_there(engine: DiffusersImages, given: Lora, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        await generated(engine, generation(loras=(given,)))
    assert caught.value.param == "loras[0]"


async def test_a_lora_of_the_hub_that_cannot_be_had(
    checkpoint: Path, blobs: FsspecBlobStore
) -> None:
    from deployments.image.diffusers_images import DiffusersImages as Engine
    from serve_app.core.config import Model
    from serve_app.core.options.image import DiffusersOptions

    def locate(source: str) -> Path:
        raise BackendUnavailable(f"no hub for {source!r}")

    options = DiffusersOptions(threads=1, hub_loras=True)
    engine = Engine(options, Model(id="t"), path=checkpoint, blobs=blobs, locate=locate)
    with pytest.raises(InvalidRequest, match=r"no hub for 'some/lora'"):
        await generated(engine, generation(loras=(Lora(source="some/lora"),)))
    await engine.close()


async def test_another_autoencoder(engine: DiffusersImages, blobs: FsspecBlobStore) -> None:
    before = await image(engine, blobs, generation())
    other = await image(engine, blobs, generation(vae_model="other"))
    assert distance(other, before) > TOLERANCE
    assert "VAE: other" in other.info["parameters"]
    assert distance(before, await image(engine, blobs, generation())) == 0
    for name, message in (("misfit", "another kind"), ("nothing", "'nothing'.*'other'")):
        with pytest.raises(InvalidRequest, match=message) as caught:
            await generated(engine, generation(vae_model=name))
        assert caught.value.param == "vae_model"
    with pytest.raises(BackendUnavailable, match="cannot be loaded"):
        await generated(engine, generation(vae_model="gone"))
    assert distance(before, await image(engine, blobs, generation())) == 0


async def test_reference_images_change_the_image_and_are_gone_afterwards(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    before = await image(engine, blobs, generation())
    first = await stored(blobs, gradient((40, 30)))
    second = await stored(blobs, Image.new("RGB", (20, 20), "red"))

    async def with_references(*images: Blob, strength: float = 1.0, **fields: Any) -> Image.Image:
        references = References(images=images, strength=strength)
        result = await image(engine, blobs, generation(references=references, **fields))
        assert distance(before, await image(engine, blobs, generation())) == 0
        return result

    one = await with_references(first)
    assert distance(one, before) > 0
    assert distance(await with_references(first), one) == 0
    assert distance(await with_references(second), one) > 0
    assert distance(await with_references(first, second), one) > 0
    assert distance(await with_references(first, strength=0), before) <= TOLERANCE
    plain = await image(engine, blobs, edit(first, strength=1))
    over = edit(first, references=References(images=(second,)), strength=1)
    assert distance(await image(engine, blobs, over), plain) > 0


async def test_each_reference_image_is_told_from_the_others(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    deep = await stored(blobs, Image.fromarray(np.full((24, 32), 40_000, np.uint16)))
    large = await stored(blobs, gradient((40, 30)))
    references = References(images=(deep, large), paths=("image[1]", "image[2]"))
    result = await generated(engine, generation(references=references))
    assert texts_of(result.warnings) == ("image[1]: reduced to 8 bits per channel",)
    with pytest.raises(PayloadTooLarge, match="40x30") as caught:
        await generated(engine, generation(references=references, max_pixels=40 * 30 - 1))
    assert caught.value.param == "image[2]"


async def test_references_need_an_adapter(tmp_path: Path, xl: Path, blobs: FsspecBlobStore) -> None:
    image = await stored(blobs, gradient((32, 24)))
    for path in (xl, save_flux(tmp_path)):
        engine = engine_of(path, blobs)
        references = References(images=(image,), field="environment_profiles")
        with pytest.raises(UnsupportedCapability, match="takes no reference") as caught:
            await generated(engine, generation(references=references))
        assert caught.value.param == "environment_profiles"
        await engine.close()


async def test_an_adapter_by_the_options(
    tmp_path: Path, checkpoint: Path, xl: Path, blobs: FsspecBlobStore
) -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(xl, subfolder="unet")
    save_ip_adapter(tmp_path / "models", unet)
    options = {"ip_adapter": str(tmp_path), "ip_adapter_weights": "models/ip_adapter.safetensors"}
    engine = engine_of(xl, blobs, **options)
    made = await stored(blobs, gradient((32, 24)))
    before = await image(engine, blobs, generation())
    request = generation(references=References(images=(made,), strength=1))
    assert distance(await image(engine, blobs, request), before) > 0
    await engine.close()
    misfit = engine_of(checkpoint, blobs, **options)
    with pytest.raises(BackendUnavailable, match="cannot be loaded"):
        await generated(misfit, request)
    assert (await generated(misfit, generation())).images
    await misfit.close()


async def test_a_request_that_is_prepared_while_the_model_is_unloaded_ends(
    checkpoint: Path, blobs: FsspecBlobStore, lora: Path
) -> None:
    loop = asyncio.get_running_loop()

    def located(source: str) -> Path:
        asyncio.run_coroutine_threadsafe(engine.close(), loop).result()
        return Path(source)

    options = DiffusersOptions(loras={"style": str(lora)})
    engine = DiffusersImages(options, Model(id="m"), path=checkpoint, blobs=blobs, locate=located)
    request = generation(loras=(Lora(registered="style"),))
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await asyncio.wait_for(generated(engine, request), 60)


async def test_the_scheduler_that_is_written_down_is_the_requests_own(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    requests = [generation(seed=i, scheduler=(None, "ddim")[i % 2]) for i in range(12)]
    made = await asyncio.gather(*(generated(engine, request) for request in requests))
    for request, images in zip(requests, made, strict=True):
        text = (await opened(blobs, images)).info["parameters"]
        assert f"Sampler: {request.scheduler or 'PNDMScheduler'}," in text
