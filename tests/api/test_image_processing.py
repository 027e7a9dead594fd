"""POST /v1/images/process over the fake and over the real engine."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from deployments.video.av_media import AvMedia
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.video import AvOptions
from tests.api.conftest import MakeContext, client_of
from tests.images import data_url, png

URL = "/v1/images/process"
RED = png("red", (60, 40))
IMAGE = data_url(RED)
MARK = data_url(png("blue", (10, 10)))


async def process(
    make_context: MakeContext, tmp_path: Path, *steps: Any, **fields: Any
) -> httpx.Response:
    """Through the real engine."""
    blobs = FsspecBlobStore(tmp_path / "blobs")
    media = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    async with client_of(make_context(runs={"media": media})) as client:
        return await client.post(URL, json={"image": IMAGE, "steps": list(steps)} | fields)


def opened(item: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(item["b64_json"])))


async def test_all_steps_in_one_request(make_context: MakeContext, tmp_path: Path) -> None:
    answer = await process(
        make_context,
        tmp_path,
        {"type": "scale", "width": 120},
        {"type": "crop", "x": 20, "y": 0, "width": 100, "height": 80},
        {"type": "watermark", "image": MARK, "position": "top_left", "opacity": 0.5},
        {"type": "convert", "format": "jpeg"},
        response_format="base64",
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body.pop("created"), int)
    (item,) = body.pop("data")
    assert body == {}
    image = opened(item)
    item.pop("b64_json")
    assert item == {"width": 100, "height": 80, "format": "jpg"}
    assert (image.format, image.size) == ("JPEG", (100, 80))
    assert answer.headers["x-job-id"]


@pytest.mark.parametrize("is_url", [True, False])
async def test_a_form_with_files(make_context: MakeContext, tmp_path: Path, is_url: bool) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    media = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    steps = [{"type": "watermark", "scale": 2}, {"type": "scale", "width": 30}]
    async with client_of(make_context(runs={"media": media})) as client:
        answer = await client.post(
            URL,
            files={"image": ("a.png", RED), "watermark": ("b.png", png("blue", (5, 5)))},
            data={"steps": json.dumps(steps)} | ({"async": "false"} if is_url else {}),
        )
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["data"]
    assert item.pop("url").endswith(".png")
    assert item == {"width": 30, "height": 20, "format": "png"}


async def test_a_queued_call(client: httpx.AsyncClient) -> None:
    body = {"image": IMAGE, "steps": [{"type": "scale", "width": 30}], "async": True}
    answer = await client.post(URL, json=body)
    assert answer.status_code == 202
    job = (await client.get(answer.json()["url"])).json()
    assert job["status"] in ("queued", "running", "succeeded")


async def test_what_has_no_effect_is_told(client: httpx.AsyncClient) -> None:
    body = {"image": IMAGE, "steps": [{"type": "scale", "width": 30}]}
    answer = await client.post(URL, json=body | {"watermark": MARK, "user": "me", "colour": 1})
    assert answer.status_code == 200, answer.text
    assert {*answer.headers["x-ignored-fields"].split(",")} == {"watermark", "user", "colour"}


@pytest.mark.parametrize(
    ("step", "param"),
    [
        ({"type": "turn"}, "steps[0]"),
        ({}, "steps[0]"),
        (7, "steps[0]"),
        ({"type": "scale"}, "steps[0]"),
        ({"type": "scale", "width": 0}, "steps[0].width"),
        ({"type": "scale", "width": "30"}, "steps[0].width"),
        ({"type": "scale", "width": 10**30}, "steps[0].width"),
        ({"type": "scale", "width": 10**15}, "steps[0]"),
        ({"type": "scale", "width": 30, "hight": 3}, "steps[0].hight"),
        ({"type": "crop", "width": 61, "height": 1}, "steps[0]"),
        ({"type": "crop", "x": -1, "width": 1, "height": 1}, "steps[0].x"),
        ({"type": "crop", "x": 0, "width": 1}, "steps[0].height"),
        ({"type": "watermark"}, "steps[0].image"),
        ({"type": "watermark", "image": "sha256:12"}, "steps[0].image"),
        ({"type": "watermark", "image": data_url(RED[:100])}, "steps[0].image"),
        ({"type": "watermark", "image": MARK, "position": "left"}, "steps[0].position"),
        ({"type": "watermark", "image": MARK, "scale": 0}, "steps[0].scale"),
        ({"type": "watermark", "image": MARK, "scale": 11}, "steps[0].scale"),
        ({"type": "watermark", "image": MARK, "opacity": 1.5}, "steps[0].opacity"),
        ({"type": "convert", "format": "exe"}, "steps[0].format"),
        ({"type": "convert", "format": "../x"}, "steps[0].format"),
        ({"type": "convert"}, "steps[0].format"),
    ],
)
async def test_bad_steps(make_context: MakeContext, tmp_path: Path, step: Any, param: str) -> None:
    answer = await process(make_context, tmp_path, step)
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"steps": []}, "steps"),
        ({"steps": "scale"}, "steps"),
        ({"steps": [{"type": "scale", "width": 3}] * 21}, "steps"),
        ({"image": data_url(RED[:100])}, "image"),
        ({"image": None}, "image"),
        ({"watermark": "no", "steps": [{"type": "watermark"}]}, "watermark"),
        ({"response_format": "b64_mp4"}, "response_format"),
    ],
)
async def test_bad_fields(
    make_context: MakeContext, tmp_path: Path, fields: dict[str, Any], param: str
) -> None:
    answer = await process(make_context, tmp_path, {"type": "scale", "width": 3}, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("steps", ["[{", "x", "", "7"])
async def test_steps_of_a_form_that_are_no_list(client: httpx.AsyncClient, steps: str) -> None:
    answer = await client.post(URL, files={"image": ("a.png", RED)}, data={"steps": steps})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "steps"


async def test_an_image_over_the_servers_limit(make_context: MakeContext, tmp_path: Path) -> None:
    async with client_of(make_context(limits={"image_pixels": 4000})) as client:
        body = {"image": IMAGE, "steps": [{"type": "scale", "width": 100}]}
        assert (await client.post(URL, json=body)).status_code == 200
    blobs = FsspecBlobStore(tmp_path / "blobs")
    media = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    context = make_context(limits={"image_pixels": 4000}, runs={"media": media})
    async with client_of(context) as client:
        answer = await client.post(URL, json=body)
    assert answer.status_code == 413
    assert answer.json()["error"]["param"] == "steps[0]"
