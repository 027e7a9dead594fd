"""Depth through transformers with tiny random checkpoints, and with outputs made by hand."""

from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForDepthEstimation
from transformers.modeling_outputs import DepthEstimatorOutput

from deployments.image.padded_depth import without_padding
from deployments.image.transformers_depth import TransformersDepth, as_brightness, input_size
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, PayloadTooLarge
from serve_app.core.image.depth import DepthMap, EstimateDepth
from serve_app.core.message import Progress
from serve_app.core.options.text import TransformersOptions
from tests.engine.tiny_vision import (
    gradient,
    image_of,
    last,
    save_depth_anything,
    save_dpt,
    save_zoedepth,
    stored,
)
from tests.images import huge_png, png
from tests.notices import texts_of

MODEL = Model(id="tiny", source="tiny")


@pytest.fixture(scope="session")
def relative(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_depth_anything(tmp_path_factory.mktemp("relative"))


@pytest.fixture(scope="session")
def metric(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metric")
    return save_depth_anything(folder, depth_estimation_type="metric", max_depth=20)


@pytest.fixture(scope="session")
def dpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dpt(tmp_path_factory.mktemp("dpt"))


@pytest.fixture(scope="session")
def zoe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_zoedepth(tmp_path_factory.mktemp("zoe"))


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def engine_of(path: Path, blobs: FsspecBlobStore, **options: Any) -> TransformersDepth:
    return TransformersDepth(
        TransformersOptions(task="depth", device="cpu", threads=1, **options),
        MODEL,
        path=path,
        blobs=blobs,
    )


async def depth_of(
    engine: TransformersDepth,
    blobs: FsspecBlobStore,
    image: Image.Image | bytes,
    format: str = "PNG",
) -> tuple[DepthMap, Image.Image]:
    blob = await stored(blobs, image, format)
    result = await last(engine.estimate_depth(EstimateDepth(model="tiny", image=blob)))
    assert isinstance(result, DepthMap)
    made = await image_of(blobs, result.depth)
    assert (made.format, made.mode) == ("PNG", "L")
    assert made.size == (result.size.width, result.size.height)
    return result, made


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (300, 1), (37, 53), (640, 100)])
@pytest.mark.parametrize("kind", ["relative", "metric", "dpt", "zoe"])
async def test_the_inputs_size(
    kind: str, size: tuple[int, int], blobs: FsspecBlobStore, request: pytest.FixtureRequest
) -> None:
    engine = engine_of(request.getfixturevalue(kind), blobs)
    _, made = await depth_of(engine, blobs, gradient(*size))
    assert made.size == size


class Told:
    """A network that answers with numbers made by hand."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, numbers: torch.Tensor) -> None:
        self.numbers = numbers

    def __call__(self, **_: Any) -> DepthEstimatorOutput:
        return DepthEstimatorOutput(predicted_depth=self.numbers[None])


@pytest.mark.parametrize(
    ("kind", "options", "is_left_near"),
    [
        ("relative", {}, False),
        ("dpt", {}, False),
        ("metric", {}, True),
        ("zoe", {}, True),
        ("relative", {"measures": "distance"}, True),
        ("metric", {"measures": "inverse"}, False),
    ],
)
async def test_near_is_bright_whatever_the_model_measures(
    kind: str,
    options: dict[str, Any],
    is_left_near: bool,
    blobs: FsspecBlobStore,
    request: pytest.FixtureRequest,
) -> None:
    engine = engine_of(request.getfixturevalue(kind), blobs, **options)
    # Numbers grow to the right: to the right is near where they are inverse distances.
    engine._network = Told(torch.linspace(1, 9, 28).expand(28, 28))
    result, made = await depth_of(engine, blobs, gradient(56, 42))
    assert result.warnings == ()
    row = np.asarray(made)[20].astype(int)
    row = row if is_left_near else row[::-1]
    assert (row[0], row[-1]) == (255, 0)
    assert (np.diff(row) <= 0).all()


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("relative", "depth-anything"),
        ("metric", "depth-anything"),
        ("dpt", "midas"),
        ("zoe", "zoe"),
    ],
)
async def test_what_a_model_is_called(
    kind: str, method: str, blobs: FsspecBlobStore, request: pytest.FixtureRequest
) -> None:
    assert engine_of(request.getfixturevalue(kind), blobs).depth_method == method


def test_borders_are_taken_off() -> None:
    # ZoeDepth adds 3 * sqrt(side / 2): 24 pixels to 128 of height, 12 to 32 of width.
    columns = torch.linspace(0, 55, 56).expand(1, 176, 56)
    rows = torch.linspace(0, 175, 176)[:, None].expand(1, 176, 56)
    found = without_padding(columns, (128, 32), (128, 32), is_padded=True)
    assert torch.allclose(found, torch.linspace(12, 43, 32).expand(128, 32), atol=1e-4)
    found = without_padding(rows, (128, 32), (64, 32), is_padded=True)
    assert torch.allclose(found[1:-1, 0], torch.linspace(26.5, 148.5, 62), atol=0.01)
    found = without_padding(columns, (176, 56), (176, 56), is_padded=False)
    assert torch.allclose(found, columns[0], atol=1e-4)


async def test_a_dpt_head_with_a_projection_tells_distance(
    tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    engine = engine_of(save_dpt(tmp_path / "checkpoint", add_projection=True), blobs)
    engine._network = Told(torch.linspace(1, 9, 28).expand(28, 28))
    _, made = await depth_of(engine, blobs, gradient(28, 28))
    assert np.asarray(made)[14, 0] == 255


async def test_the_same_numbers_as_the_library(relative: Path, blobs: FsspecBlobStore) -> None:
    image = gradient(70, 56)
    processor = AutoImageProcessor.from_pretrained(relative)
    network = AutoModelForDepthEstimation.from_pretrained(relative).eval()
    with torch.inference_mode():
        outputs = network(**processor(images=image, return_tensors="pt"))
    (found,) = processor.post_process_depth_estimation(outputs, target_sizes=[(56, 70)])
    numbers = found["predicted_depth"].numpy()
    wanted = 255 * (numbers - numbers.min()) / np.ptp(numbers)
    _, made = await depth_of(engine_of(relative, blobs), blobs, image)
    assert np.abs(np.asarray(made) - wanted).max() <= 0.51


def test_distances_are_inverted_and_the_rest_is_stretched() -> None:
    distances = np.array([[1.0, 2.0, 4.0]], np.float32)
    assert as_brightness(distances, predicts_distance=True)[0].tolist() == [[255, 85, 0]]
    assert as_brightness(distances, predicts_distance=False)[0].tolist() == [[0, 85, 255]]


@pytest.mark.parametrize("predicts_distance", [True, False])
def test_numbers_that_are_none_are_far(predicts_distance: bool) -> None:
    odd = np.array([[np.nan, 1.0, 3.0]], np.float32)
    near, warnings = as_brightness(odd, predicts_distance=predicts_distance)
    assert near[0, 0] == 0
    assert {int(near[0, 1]), int(near[0, 2])} == {0, 255}
    assert warnings == ()


@pytest.mark.parametrize("predicts_distance", [True, False])
@pytest.mark.parametrize("value", [0.0, 5.0, np.nan])
def test_a_flat_answer_is_black_and_says_so(value: float, predicts_distance: bool) -> None:
    near, warnings = as_brightness(
        np.full((2, 2), value, np.float32), predicts_distance=predicts_distance
    )
    assert near.tolist() == [[0, 0], [0, 0]]
    assert texts_of(warnings) == ("depth: the model estimates the same distance everywhere",)


@pytest.mark.parametrize(
    ("size", "seen"),
    [((100, 80), (100, 80)), ((8192, 4096), (4096, 2048)), ((1, 400), (100, 400))],
)
def test_the_size_that_is_seen(size: tuple[int, int], seen: tuple[int, int]) -> None:
    assert input_size(*size) == seen
    assert max(input_size(64_000_000, 1)) <= 4096


@pytest.mark.parametrize(("mode", "format"), [("CMYK", "JPEG"), ("RGBA", "PNG"), ("I;16", "PNG")])
async def test_other_kinds_of_pixels(
    mode: str, format: str, dpt: Path, blobs: FsspecBlobStore
) -> None:
    image = gradient(20, 30).convert("L") if mode == "I;16" else gradient(20, 30)
    _, made = await depth_of(engine_of(dpt, blobs), blobs, image.convert(mode), format)
    assert made.size == (20, 30)


async def test_exif_turns_the_map(dpt: Path, blobs: FsspecBlobStore, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    gradient(20, 30).save(tmp_path / "turned.jpg", exif=exif)
    data = (tmp_path / "turned.jpg").read_bytes()
    _, made = await depth_of(engine_of(dpt, blobs), blobs, data)
    assert made.size == (30, 20)


async def test_the_first_frame_of_an_animation(
    dpt: Path, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    frames = [gradient(20, 30), gradient(20, 30).transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    data = (tmp_path / "moving.gif").read_bytes()
    result, made = await depth_of(engine_of(dpt, blobs), blobs, data)
    assert made.size == (20, 30)
    assert "image: the first of 2 frames was used" in texts_of(result.warnings)


async def test_bad_images_are_refused_and_the_engine_lives_on(
    dpt: Path, blobs: FsspecBlobStore
) -> None:
    engine = engine_of(dpt, blobs)
    for data, error in ((huge_png(), PayloadTooLarge), (png(size=(30, 30))[:60], InvalidRequest)):
        with pytest.raises(error) as caught:
            await depth_of(engine, blobs, data)
        assert caught.value.param == "image"
    _, made = await depth_of(engine, blobs, gradient(3, 3))
    assert made.size == (3, 3)


async def test_an_engine_that_was_left_early_serves_on(dpt: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(dpt, blobs)
    request = EstimateDepth(model="tiny", image=await stored(blobs, gradient(9, 9)))
    async with aclosing(engine.estimate_depth(request)) as events:
        first = await anext(events)
        assert isinstance(first, Progress)
        assert (first.phase, first.current, first.total) == ("depth", 0, 1)
    _, made = await depth_of(engine, blobs, gradient(9, 9))
    assert made.size == (9, 9)


async def test_what_is_no_depth_checkpoint_says_so(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match="'tiny' cannot be loaded by transformers"):
        engine_of(tmp_path, blobs)


async def test_a_closed_engine_refuses(dpt: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(dpt, blobs)
    await engine.close()
    await engine.close()
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await depth_of(engine, blobs, gradient(3, 3))
