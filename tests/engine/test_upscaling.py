"""Swin2SR through transformers with tiny random checkpoints, and Lanczos."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, Swin2SRForImageSuperResolution

from deployments.image.lanczos_upscaling import LanczosUpscaling
from deployments.image.swin2sr_upscaling import Swin2srUpscaling
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, PayloadTooLarge
from serve_app.core.image.upscaling import UpscaledImage, UpscaleImage
from serve_app.core.message import Progress
from serve_app.core.options.image import LanczosOptions, Swin2srOptions
from tests.engine.tiny_vision import gradient, image_of, last, save_swin2sr, stored
from tests.images import huge_png, png
from tests.notices import texts_of

MODEL = Model(id="tiny", source="tiny")
TILES: dict[str, Any] = {"tile_px": 32, "overlap_px": 8}


@pytest.fixture(scope="session")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_swin2sr(tmp_path_factory.mktemp("twice"))


@pytest.fixture(scope="session")
def fourfold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_swin2sr(tmp_path_factory.mktemp("fourfold"), upscale=4, upsampler="nearest+conv")


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def engine_of(path: Path, blobs: FsspecBlobStore, **options: Any) -> Swin2srUpscaling:
    return Swin2srUpscaling(
        Swin2srOptions(device="cpu", threads=1, **options), MODEL, path=path, blobs=blobs
    )


async def upscaled(
    engine: Any, blobs: FsspecBlobStore, image: Image.Image | bytes, **fields: Any
) -> tuple[UpscaledImage, Image.Image]:
    blob = await stored(blobs, image)
    result = await last(engine.upscale(UpscaleImage(model="tiny", image=blob, **fields)))
    assert isinstance(result, UpscaledImage)
    made = await image_of(blobs, result.image)
    assert made.size == (result.size.width, result.size.height)
    return result, made


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (17, 13), (40, 33)])
async def test_exact_sizes(
    twice: Path, blobs: FsspecBlobStore, scale: Any, size: tuple[int, int]
) -> None:
    engine = engine_of(twice, blobs, **TILES)
    result, made = await upscaled(engine, blobs, gradient(*size), scale=scale)
    assert made.size == (size[0] * scale, size[1] * scale)
    assert (result.engine, made.mode, made.format) == ("swin2sr", "RGB", "PNG")
    assert bool(result.warnings) == (scale != 2)


async def test_a_larger_model_is_resized_and_says_so(
    fourfold: Path, blobs: FsspecBlobStore
) -> None:
    result, made = await upscaled(engine_of(fourfold, blobs), blobs, gradient(9, 5), scale=3)
    assert made.size == (27, 15)
    assert texts_of(result.warnings) == (
        "scale: the model enlarges 4 times; one pass, resized to 3 times",
    )


@pytest.mark.parametrize("upsampler", ["pixelshuffle", "pixelshuffle_aux"])
async def test_every_kind_of_head(upsampler: str, tmp_path: Path, blobs: FsspecBlobStore) -> None:
    path = save_swin2sr(tmp_path / "checkpoint", upsampler=upsampler)
    _, made = await upscaled(engine_of(path, blobs), blobs, gradient(9, 5), scale=2)
    assert made.size == (18, 10)


async def test_a_model_that_only_cleans_is_resized(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    path = save_swin2sr(tmp_path / "checkpoint", upscale=1, upsampler="")
    result, made = await upscaled(engine_of(path, blobs), blobs, gradient(9, 5), scale=2)
    assert made.size == (18, 10)
    assert "resized to 2 times" in texts_of(result.warnings)[0]


async def test_the_same_pixels_as_the_library(twice: Path, blobs: FsspecBlobStore) -> None:
    # Of a whole number of windows, because the library's processor pads more than is needed.
    image = gradient(24, 16)
    network = Swin2SRForImageSuperResolution.from_pretrained(twice).eval()
    values = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        wanted = network(pixel_values=values).reconstruction[0].clamp(0, 1)
    _, made = await upscaled(engine_of(twice, blobs), blobs, image, scale=2)
    found = torch.from_numpy(np.asarray(made).copy()).permute(2, 0, 1) / 255
    assert (found - wanted).abs().max() <= 0.51 / 255


async def test_the_librarys_own_processor_agrees(twice: Path, blobs: FsspecBlobStore) -> None:
    image = gradient(23, 17)
    network = Swin2SRForImageSuperResolution.from_pretrained(twice).eval()
    inputs = AutoImageProcessor.from_pretrained(twice)(image, return_tensors="pt")
    with torch.inference_mode():
        wanted = network(**inputs).reconstruction[0, :, :34, :46].clamp(0, 1) * 255
    _, made = await upscaled(engine_of(twice, blobs), blobs, image, scale=2)
    found = torch.from_numpy(np.asarray(made).copy()).permute(2, 0, 1)
    assert (found - wanted).abs().mean() < 1


async def test_tiles_give_what_the_whole_gives(twice: Path, blobs: FsspecBlobStore) -> None:
    image = gradient(75, 61)
    _, whole = await upscaled(engine_of(twice, blobs, tile_px=512), blobs, image, scale=2)
    _, parts = await upscaled(engine_of(twice, blobs, **TILES), blobs, image, scale=2)
    difference = np.abs(np.asarray(whole, int) - np.asarray(parts, int))
    assert difference.mean() < 0.5
    assert difference.max() <= 8


async def test_transparency_is_kept(twice: Path, blobs: FsspecBlobStore) -> None:
    clear = gradient(20, 12)
    alpha = Image.new("L", clear.size)
    alpha.paste(255, (0, 0, 10, 12))
    clear.putalpha(alpha)
    _, made = await upscaled(engine_of(twice, blobs), blobs, clear, scale=4)
    assert (made.mode, made.size) == ("RGBA", (80, 48))
    assert made.getpixel((4, 4))[3] == 255  # type: ignore[index]
    assert made.getpixel((76, 4))[3] == 0  # type: ignore[index]


def cmyk() -> Image.Image:
    return gradient(9, 5).convert("CMYK")


def deep() -> Image.Image:
    return Image.fromarray(np.arange(45, dtype=np.uint16).reshape(5, 9) * 1000)


@pytest.mark.parametrize(("make", "format"), [(cmyk, "TIFF"), (cmyk, "JPEG"), (deep, "PNG")])
async def test_other_kinds_of_pixels(
    twice: Path, blobs: FsspecBlobStore, make: Callable[[], Image.Image], format: str
) -> None:
    engine = engine_of(twice, blobs)
    blob = await stored(blobs, make(), format)
    result = await last(engine.upscale(UpscaleImage(model="tiny", image=blob, scale=2)))
    assert (await image_of(blobs, result.image)).size == (18, 10)


async def test_bad_images_are_refused_and_the_engine_lives_on(
    twice: Path, blobs: FsspecBlobStore
) -> None:
    engine = engine_of(twice, blobs)
    for data, error, param in (
        (huge_png(), PayloadTooLarge, "image"),
        (huge_png(3000, 3000), PayloadTooLarge, "scale"),
        (png(size=(30, 30))[:60], InvalidRequest, "image"),
    ):
        with pytest.raises(error) as caught:
            await upscaled(engine, blobs, data)
        assert caught.value.param == param
    _, made = await upscaled(engine, blobs, gradient(3, 3), scale=2)
    assert made.size == (6, 6)


async def test_progress_and_cancelling_between_tiles(twice: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(twice, blobs, **TILES)
    runs = 0
    real = engine.run

    def counted(tile: Any) -> Any:
        nonlocal runs
        runs += 1
        return real(tile)

    engine.run = counted  # type: ignore[method-assign]
    request = UpscaleImage(model="tiny", image=await stored(blobs, gradient(300, 300)), scale=2)
    async with aclosing(engine.upscale(request)) as events:
        first = await anext(events)
        assert isinstance(first, Progress)
        assert (first.current, first.phase, first.total) == (1, "upscale", 361)
    # Closing waits for the thread, so nothing runs after it.
    assert 1 <= runs < 361
    _, made = await upscaled(engine, blobs, gradient(3, 3), scale=2)
    assert made.size == (6, 6)


async def test_what_is_no_checkpoint_says_so(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match="'tiny' cannot be loaded by transformers"):
        engine_of(tmp_path, blobs)
    with pytest.raises(BackendUnavailable, match="has no source"):
        engine_of(None, blobs)  # type: ignore[arg-type]


async def test_missing_weights_are_not_made_up(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    path = save_swin2sr(tmp_path / "checkpoint")
    config = (path / "config.json").read_text()
    (path / "config.json").write_text(config.replace("pixelshuffledirect", "pixelshuffle"))
    with pytest.raises(BackendUnavailable, match="no weights for 'upsample"):
        engine_of(path, blobs)


async def test_a_closed_engine_refuses(twice: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(twice, blobs)
    await engine.close()
    await engine.close()
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await upscaled(engine, blobs, gradient(3, 3))


@pytest.fixture
def lanczos(blobs: FsspecBlobStore) -> AsyncIterator[LanczosUpscaling]:
    return LanczosUpscaling(LanczosOptions(), MODEL, path=None, blobs=blobs)  # type: ignore[return-value]


async def test_lanczos_keeps_colours_and_says_what_it_is(
    lanczos: LanczosUpscaling, blobs: FsspecBlobStore
) -> None:
    image = gradient(30, 20)
    result, made = await upscaled(lanczos, blobs, image, scale=8, allows_resize=True)
    assert (made.size, result.engine) == ((240, 160), "lanczos")
    assert texts_of(result.warnings)[0].startswith("engine: resized by Lanczos")
    back = np.asarray(made.resize(image.size, Image.Resampling.BOX), int)
    assert np.abs(back - np.asarray(image, int)).max() <= 3


async def test_lanczos_has_to_be_allowed(lanczos: LanczosUpscaling, blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match="only resizes") as caught:
        await upscaled(lanczos, blobs, gradient(3, 3))
    assert caught.value.param == "allows_resize"
