"""SAM, SAM 2 and Mask2Former through the real classes, with tiny random weights."""

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Sam2Model, SamImageProcessorPil, SamModel, SamProcessor

from deployments.image.mask_grid import grid_points, suppressed
from deployments.image.transformers_segmentation import TransformersSegmentation
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.image.segmentation import Box, Point, SegmentImage, Segments
from serve_app.core.message import Progress
from serve_app.core.options.text import TransformersOptions
from tests.engine.tiny_encoders import save_encoder
from tests.engine.tiny_segmentation import NAMES, SIDE, save_mask2former, save_sam, save_sam2
from tests.material import content, stored
from tests.notices import texts_of
from tests.scenes import objects, png_of

IMAGE = objects(150, 90)[0]
POINTS = (Point(x=20, y=30), Point(x=100, y=70, is_object=False))
BOX = Box(x1=10, y1=12, x2=70, y2=60)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("segmentation")
    made = {"sam": save_sam, "sam2": save_sam2, "mask2former": save_mask2former}
    return {name: save(root / name, sure=True) for name, save in made.items()}


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def loaded(path: Path, blobs: FsspecBlobStore) -> TransformersSegmentation:
    options = TransformersOptions(task="segmentation", device="cpu")
    return TransformersSegmentation(options, Model(id="seg"), path=path, blobs=blobs)


async def found(
    engine: TransformersSegmentation, blobs: FsspecBlobStore, **fields: Any
) -> tuple[Segments, list[Image.Image]]:
    image = await stored(blobs, png_of(IMAGE), mime="image/png")
    request = SegmentImage(model="seg", image=image, **fields)
    events = [event async for event in engine.segment_image(request)]
    assert all(isinstance(event, Progress) for event in events[:-1])
    result = events[-1]
    assert isinstance(result, Segments)
    files = [await content(blobs, segment.image) for segment in result.segments]
    return result, [Image.open(io.BytesIO(file)) for file in files]


def area(mask: Image.Image) -> Any:
    return np.asarray(mask) > 127


def agreement(one: Any, other: Any) -> float:
    return float((one == other).mean())


async def test_sam_answers_as_the_library_does_with_its_own_processor(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore
) -> None:
    model = SamModel.from_pretrained(checkpoints["sam"]).eval()
    processor = SamProcessor(SamImageProcessorPil.from_pretrained(checkpoints["sam"]))
    corners = [BOX.x1, BOX.y1, BOX.x2, BOX.y2]
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"boxes": (BOX,)}, {"input_boxes": [[corners]]}),
        (
            {"points": POINTS},
            {"input_points": [[[[p.x, p.y] for p in POINTS]]], "input_labels": [[[1, 0]]]},
        ),
        ({"points": POINTS[:1]}, {"input_points": [[[[20, 30]]]], "input_labels": [[[1]]]}),
    ]
    engine = loaded(checkpoints["sam"], blobs)
    for fields, inputs in cases:
        result, (mask,) = await found(engine, blobs, **fields)
        prepared = processor(images=IMAGE, return_tensors="pt", **inputs)
        sizes = prepared.pop("original_sizes"), prepared.pop("reshaped_input_sizes")
        prepared = {k: v.float() if v.is_floating_point() else v for k, v in prepared.items()}
        is_open = fields.get("points") == POINTS[:1]
        with torch.no_grad():
            output = model(**prepared, multimask_output=is_open)
        masks = processor.image_processor.post_process_masks(output.pred_masks, *sizes)
        best = int(output.iou_scores[0, 0].argmax())
        assert agreement(area(mask), masks[0][0, best].numpy()) > 0.999
        assert result.segments[0].score == pytest.approx(float(output.iou_scores.max()), abs=1e-3)


async def test_sam2_answers_as_its_model_does_for_a_stretched_image(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore
) -> None:
    engine = loaded(checkpoints["sam2"], blobs)
    result, (mask,) = await found(engine, blobs, boxes=(BOX,), points=POINTS[:1])
    square = IMAGE.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    values = (np.asarray(square) / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    x, y = SIDE / IMAGE.width, SIDE / IMAGE.height
    with torch.no_grad():
        output = Sam2Model.from_pretrained(checkpoints["sam2"]).eval()(
            pixel_values=torch.tensor(values.transpose(2, 0, 1)[None], dtype=torch.float32),
            input_boxes=torch.tensor([[[BOX.x1 * x, BOX.y1 * y, BOX.x2 * x, BOX.y2 * y]]]),
            input_points=torch.tensor([[[[20 * x, 30 * y]]]]),
            input_labels=torch.tensor([[[1]]]),
            multimask_output=False,
        )
    large = torch.nn.functional.interpolate(output.pred_masks[0], (90, 150), mode="bilinear")
    assert agreement(area(mask), large[0, 0].numpy() > 0) > 0.999
    assert result.segments[0].score == pytest.approx(float(output.iou_scores[0, 0, 0]), abs=1e-4)


@pytest.mark.parametrize("name", ["sam", "sam2"])
async def test_one_mask_per_object_in_the_order_of_the_request(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore, name: str
) -> None:
    engine = loaded(checkpoints[name], blobs)
    other = Box(x1=80, y1=10, x2=149, y2=89)
    free = Point(x=75, y=80)
    result, masks = await found(engine, blobs, boxes=(BOX, other), points=(*POINTS, free))
    assert len(masks) == 3
    for segment, mask in zip(result.segments, masks, strict=True):
        assert (mask.mode, mask.size) == ("L", IMAGE.size)
        assert segment.box == mask.getbbox()
        assert segment.score is not None
        assert 0 <= segment.score <= 1
    assert result.quality == "ml"
    _, (alone,) = await found(engine, blobs, boxes=(BOX,), points=POINTS)
    assert area(alone).tolist() == area(masks[0]).tolist()
    _, (unrefined,) = await found(engine, blobs, boxes=(BOX,))
    _, (elsewhere,) = await found(engine, blobs, boxes=(other,))
    assert area(unrefined).tolist() != area(masks[0]).tolist()
    assert area(unrefined).tolist() != area(elsewhere).tolist()


@pytest.mark.parametrize("name", ["sam", "sam2"])
async def test_everything_at_a_grid_of_points(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore, name: str
) -> None:
    engine = loaded(checkpoints[name], blobs)
    result, masks = await found(engine, blobs)
    assert masks
    assert len(masks) <= 16
    scores = [segment.score for segment in result.segments]
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
    assert min(scores) > 0.88  # type: ignore[type-var,operator]
    assert {mask.size for mask in masks} == {IMAGE.size}


async def test_a_model_that_is_sure_of_nothing_finds_nothing(
    tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    for save in (save_sam, save_mask2former):
        engine = loaded(save(tmp_path / save.__name__), blobs)
        result, masks = await found(engine, blobs)
        assert (masks, texts_of(result.warnings)) == ([], ("image: no object was found",))


async def test_mask2former_names_what_it_finds_and_no_pixel_twice(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore
) -> None:
    result, masks = await found(loaded(checkpoints["mask2former"], blobs), blobs)
    assert masks
    assert {segment.label for segment in result.segments} <= {*NAMES.values()}
    assert sum(area(mask).astype(int) for mask in masks).max() == 1
    for segment, mask in zip(result.segments, masks, strict=True):
        assert mask.size == IMAGE.size
        assert segment.score is not None
        assert 0.5 < segment.score <= 1


@pytest.mark.parametrize(
    ("fields", "param"), [({"boxes": (BOX,)}, "boxes"), ({"points": POINTS}, "points")]
)
async def test_mask2former_cannot_be_pointed(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedCapability) as caught:
        await found(loaded(checkpoints["mask2former"], blobs), blobs, **fields)
    assert caught.value.param == param


async def test_wrong_places_are_named(checkpoints: dict[str, Path], blobs: FsspecBlobStore) -> None:
    engine = loaded(checkpoints["sam"], blobs)
    with pytest.raises(InvalidRequest) as caught:
        await found(engine, blobs, points=(POINTS[0], Point(x=151, y=0)))
    assert caught.value.param == "points[1]"
    result, _ = await found(engine, blobs, boxes=(BOX,))
    assert result.segments


@pytest.mark.parametrize("name", ["sam", "sam2"])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (300, 7)])
async def test_images_of_any_shape(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore, name: str, size: tuple[int, int]
) -> None:
    engine = loaded(checkpoints[name], blobs)
    image = await stored(blobs, png_of(Image.new("RGB", size, "red")), mime="image/png")
    box = Box(x1=0, y1=0, x2=size[0], y2=size[1])
    request = SegmentImage(model="seg", image=image, boxes=(box,))
    result = [event async for event in engine.segment_image(request)][-1]
    assert isinstance(result, Segments)
    assert (result.size.width, result.size.height) == size


async def test_closing_stops_between_batches(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore
) -> None:
    engine = loaded(checkpoints["sam"], blobs)
    image = await stored(blobs, png_of(IMAGE), mime="image/png")
    events = engine.segment_image(SegmentImage(model="seg", image=image))
    assert isinstance(await anext(events), Progress)
    await asyncio.wait_for(events.aclose(), timeout=20)
    result, _ = await found(engine, blobs, boxes=(BOX,))
    assert result.segments
    await engine.close()
    await engine.close()


def test_checkpoints_of_other_kinds_are_refused(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    save_encoder(tmp_path / "bert")
    with pytest.raises(BackendUnavailable, match="'bert' checkpoint; segmentation takes sam, sam2"):
        loaded(tmp_path / "bert", blobs)
    with pytest.raises(BackendUnavailable, match="cannot be loaded"):
        loaded(tmp_path, blobs)


def test_the_worse_of_two_boxes_on_each_other_goes() -> None:
    boxes = [(0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 5, 10), (20, 20, 30, 30)]
    assert suppressed(boxes, [0.9, 0.95, 0.5, 0.7]) == [1, 3, 2]
    assert suppressed([], []) == []


def test_the_grid_lies_in_the_middle_of_its_fields() -> None:
    assert grid_points(2, (8, 4)) == [(2, 1), (6, 1), (2, 3), (6, 3)]
