"""POST /v1/images/segment over the fake: boxes are objects, points discs, everything two halves."""

import base64
import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from deployments.image.grabcut import GrabcutSegmentation
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.image.segmentation import SegmentEvent, SegmentImage, Segments
from serve_app.core.options.image import GrabcutOptions
from tests.api.conftest import MakeContext, client_of
from tests.images import png

URL = "/v1/images/segment"
SIZE = (40, 20)
IMAGE = base64.b64encode(png("red", SIZE)).decode()
LEFT_BOX = [2, 4, 12, 14]


async def segmented(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post(URL, json={"image": IMAGE} | fields)


def opened(item: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(item["b64_json"])))


@pytest.mark.covers("CoderAI: POST /v1/images/segment")
async def test_the_whole_answer(client: httpx.AsyncClient) -> None:
    answer = await segmented(client)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body.pop("created"), int)
    items = body.pop("data")
    assert body == {"engine": "fake", "quality": "ml"}
    for item in items:
        url = item.pop("url")
        file = await client.get(url)
        assert file.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(file.content)).size == SIZE
    assert items == [
        {"box": [0, 0, 20, 20], "score": 1.0, "area": 400, "label": "half 1"},
        {"box": [20, 0, 40, 20], "score": 0.99, "area": 400, "label": "half 2"},
    ]
    assert answer.headers["x-job-id"]


async def test_a_mask_is_white_on_the_object_and_black_beside_it(client: httpx.AsyncClient) -> None:
    answer = await segmented(client, boxes=[LEFT_BOX], response_format="b64_json")
    (item,) = answer.json()["data"]
    assert item.keys() == {"b64_json", "box", "score", "area"}
    assert (item["box"], item["area"]) == (LEFT_BOX, 100)
    mask = opened(item)
    assert (mask.mode, mask.size) == ("L", SIZE)
    assert sorted(value for _, value in mask.getcolors() or ()) == [0, 255]
    assert [mask.getpixel(place) for place in ((2, 4), (11, 13), (12, 14), (1, 4))] == [
        255,
        255,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("mode", "roles"),
    [
        (None, [None, None]),
        ("masks", [None, None]),
        ("overlay", ["overlay"]),
        ("cutout", ["cutout", "cutout"]),
        ("all", [None, "cutout", None, "cutout", "overlay"]),
    ],
)
async def test_what_is_sent_in_each_mode(
    client: httpx.AsyncClient, mode: str | None, roles: list[str | None]
) -> None:
    boxes = [LEFT_BOX, [20, 4, 30, 14]]
    answer = await segmented(client, boxes=boxes, mode=mode, response_format="base64")
    items = answer.json()["data"]
    assert [item.get("role") for item in items] == roles
    for item in items:
        image = opened(item)
        assert image.size == SIZE
        if item.get("role") == "cutout":
            assert image.mode == "RGBA"
            x, y = item["box"][:2]
            assert image.getpixel((x, y)) == (255, 0, 0, 255)
            assert image.getpixel((0, 0))[3] == 0  # type: ignore[index]
        if item.get("role") == "overlay":
            assert image.mode == "RGB"
            assert image.getpixel((0, 0)) == (255, 0, 0)
            assert image.getpixel((5, 5)) != (255, 0, 0)
            assert item.keys() == {"b64_json", "role"}


async def test_points_in_a_box_refine_it_and_others_are_an_object_of_their_own(
    client: httpx.AsyncClient,
) -> None:
    answer = await segmented(
        client, boxes=[LEFT_BOX], points=[[5, 5], [30, 10], [39, 19]], point_labels=[1, 1, 0]
    )
    boxed, pointed = answer.json()["data"]
    assert boxed["box"] == LEFT_BOX
    assert pointed["box"][0] > 20


async def test_the_best_masks_are_kept(client: httpx.AsyncClient) -> None:
    body = (await segmented(client, max_masks=1)).json()
    assert [item["label"] for item in body["data"]] == ["half 1"]
    assert body["warnings"] == ["max_masks: only the best 1 masks were kept"]


async def test_fields_without_effect_are_named(client: httpx.AsyncClient) -> None:
    answer = await segmented(client, user="ann", threshold=0.5)
    assert set(answer.headers["x-ignored-fields"].split(",")) == {"user", "threshold"}


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"image": None}, 400, "image"),
        ({"image": ""}, 400, "image"),
        ({"image": "AAAA"}, 400, "image"),
        ({"image": "file:///etc/passwd"}, 400, "image"),
        ({"image": "/v1/files/nothing.png"}, 404, "image"),
        ({"image": base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()}, 400, "image"),
        ({"image": base64.b64encode(b"ID3" + bytes(60)).decode()}, 400, "image"),
        ({"model": "echo"}, 400, "model"),
        ({"model": "nothing"}, 404, "model"),
        ({"points": [[1, 1], [2, 2], [41, 2]]}, 400, "points[2]"),
        ({"points": [[1, -1]]}, 400, "points[0]"),
        ({"points": [[1]]}, 400, "points[0]"),
        ({"points": [[1, 2, 3]]}, 400, "points[0]"),
        ({"points": [["1", 2]]}, 400, "points[0][0]"),
        ({"points": [1, 2]}, 400, "points[0]"),
        ({"points": [[1, 1]] * 1025}, 400, "points"),
        ({"points": [[1, 1]], "point_labels": [1, 0]}, 400, "point_labels"),
        ({"point_labels": [1]}, 400, "point_labels"),
        ({"points": [[1, 1]], "point_labels": [0]}, 400, "point_labels"),
        ({"points": [[1, 1]], "point_labels": [2]}, 400, "point_labels[0]"),
        ({"points": [[1, 1]], "point_labels": [True]}, 400, "point_labels[0]"),
        ({"boxes": [[12, 4, 2, 14]]}, 400, "boxes[0]"),
        ({"boxes": [LEFT_BOX, [5, 5, 5, 9]]}, 400, "boxes[1]"),
        ({"boxes": [[0, 0, 41, 20]]}, 400, "boxes[0]"),
        ({"boxes": [[-1, 0, 20, 20]]}, 400, "boxes[0]"),
        ({"boxes": [[0, 0, 20]]}, 400, "boxes[0]"),
        ({"boxes": [LEFT_BOX] * 2, "max_masks": 1}, 400, "max_masks"),
        ({"max_masks": 0}, 400, "max_masks"),
        ({"max_masks": 257}, 400, "max_masks"),
        ({"max_masks": "2"}, 400, "max_masks"),
        ({"mode": "polygons"}, 400, "mode"),
        ({"response_format": "b64_mp4"}, 400, "response_format"),
    ],
)
async def test_bad_requests(
    client: httpx.AsyncClient, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = await segmented(client, **fields)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param


async def test_numbers_that_are_none(client: httpx.AsyncClient) -> None:
    body = f'{{"image":"{IMAGE}","points":[[NaN,1]]}}'
    answer = await client.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


async def test_an_image_over_the_limit(make_context: MakeContext) -> None:
    async with client_of(make_context(limits={"image_pixels": 799})) as client:
        answer = await segmented(client)
    assert answer.status_code == 413
    assert answer.json()["error"]["param"] == "image"


async def test_without_a_model(make_context: MakeContext) -> None:
    async with client_of(make_context(families=[])) as client:
        answer = await segmented(client)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"


async def test_every_mask_is_archived(client: httpx.AsyncClient) -> None:
    await segmented(client, mode="all", tag="cut")
    entries = (await client.get("/v1/archive", params={"tag": "cut"})).json()["files"]
    assert len(entries) == 5
    assert {entry["operation"] for entry in entries} == {"image.segment"}
    assert {(entry["width"], entry["height"]) for entry in entries} == {SIZE}


async def test_it_can_be_a_job(client: httpx.AsyncClient) -> None:
    answer = await segmented(client, ref_id="cut-1", **{"async": True})
    assert answer.status_code == 202
    assert answer.json()["url"] == f"/v1/jobs/{answer.json()['id']}"


@pytest.mark.parametrize(
    ("fields", "engine"),
    [
        ({}, "u2net"),
        ({"boxes": [LEFT_BOX]}, "grabcut"),
        ({"points": [[20, 10]], "model": "none-pointed"}, None),
        ({"model": "grabcut"}, "grabcut"),
    ],
)
async def test_points_and_boxes_go_to_a_model_that_takes_them(
    make_context: MakeContext, tmp_path: Path, fields: dict[str, Any], engine: str | None
) -> None:
    """The default takes none: it finds what stands out."""
    blobs = FsspecBlobStore(tmp_path / "blobs")
    pointed = GrabcutSegmentation(GrabcutOptions(), Model(id="grabcut"), path=None, blobs=blobs)
    families = [
        {
            "name": "salience",
            "options": {"engine": "u2net"},
            "models": [{"id": "none-pointed", "source": "weights"}],
        },
        {"name": "pointed", "options": {"engine": "grabcut"}, "models": [{"id": "grabcut"}]},
    ]
    salience = StandingOut(GrabcutOptions(), Model(id="none-pointed"), path=None, blobs=blobs)
    runs = {"salience": salience, "pointed": pointed}
    async with client_of(make_context(families=families, runs=runs)) as client:
        answer = await segmented(client, **fields)
    if engine is None:
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "points"
    else:
        assert answer.json()["engine"] == engine, answer.text


class StandingOut(GrabcutSegmentation):
    """Finds what stands out and takes no prompts, without a trained network."""

    async def segment_image(self, request: SegmentImage) -> AsyncGenerator[SegmentEvent]:
        if request.points or request.boxes:
            raise UnsupportedCapability("it takes none", param="points")
        async for event in super().segment_image(request):
            is_end = isinstance(event, Segments)
            yield event.model_copy(update={"engine": "u2net"}) if is_end else event
