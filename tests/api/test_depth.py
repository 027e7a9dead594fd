"""POST /v1/images/depth over the fake, which takes what is bright for near."""

import base64
import io
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.api.conftest import MakeContext, client_of
from tests.images import claiming_png, huge_png, png

URL = "/v1/images/depth"
IMAGE = base64.b64encode(png("red", (7, 5))).decode()
FAMILY = {
    "name": "depth",
    "options": {"engine": "fake", "task": "depth"},
    "models": [{"id": "bright"}],
}


async def depth(make_context: MakeContext, **fields: Any) -> httpx.Response:
    async with client_of(make_context(families=[FAMILY])) as client:
        return await client.post(URL, json={"image": IMAGE} | fields)


@pytest.mark.covers("CoderAI: POST /v1/images/depth")
async def test_the_whole_answer(make_context: MakeContext) -> None:
    answer = await depth(make_context)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body.pop("created"), int)
    (item,) = body.pop("data")
    assert body == {}
    assert item.keys() == {"url"}
    assert item["url"].endswith(".png")
    assert answer.headers["x-job-id"]


async def test_a_grey_image_of_the_same_size(make_context: MakeContext) -> None:
    answer = await depth(make_context, response_format="b64_json")
    image = Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][0]["b64_json"])))
    assert (image.format, image.mode, image.size) == ("PNG", "L", (7, 5))


@pytest.mark.parametrize("model", [None, "auto"])
async def test_without_a_model_it_says_which_would_do(
    make_context: MakeContext, model: str | None
) -> None:
    async with client_of(make_context(families=[])) as client:
        answer = await client.post(URL, json={"image": IMAGE, "model": model})
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("backend_unavailable", "model")
    assert "{engine: transformers, task: depth}" in error["message"]
    assert "depth-anything/Depth-Anything-V2-Small-hf" in error["message"]
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"image": None}, 400, "image"),
        ({"image": base64.b64encode(png(size=(30, 30))[:60]).decode()}, 400, "image"),
        ({"image": base64.b64encode(claiming_png()).decode()}, 413, "image"),
        ({"image": base64.b64encode(huge_png()).decode()}, 413, "image"),
        ({"model": "nothing"}, 404, "model"),
        ({"response_format": "jpeg"}, 400, "response_format"),
    ],
)
async def test_bad_requests(
    make_context: MakeContext, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = await depth(make_context, **fields)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param


async def test_a_model_of_another_task(make_context: MakeContext) -> None:
    async with client_of(make_context()) as client:
        answer = await client.post(URL, json={"image": IMAGE, "model": "echo"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_capability"
