"""POST /v1/images/upscale over the fake, which passes for trained, and over real resampling."""

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from deployments.image.lanczos_upscaling import LanczosUpscaling
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.image import LanczosOptions
from serve_app.core.status import ModelStatus
from tests.api.conftest import MakeContext, client_of
from tests.images import claiming_png, huge_png, png

URL = "/v1/images/upscale"
IMAGE = base64.b64encode(png("red", (7, 5))).decode()
TRAINED = {
    "name": "trained",
    "options": {"engine": "fake", "task": "upscaling"},
    "models": [{"id": "repeater"}],
}
RESIZING = {"name": "resizing", "options": {"engine": "lanczos"}, "models": [{"id": "lanczos"}]}


async def upscale(
    make_context: MakeContext,
    tmp_path: Path,
    families: tuple[dict[str, Any], ...] = (TRAINED, RESIZING),
    statuses: dict[str, ModelStatus] | None = None,
    limits: dict[str, Any] | None = None,
    **fields: Any,
) -> httpx.Response:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    lanczos = LanczosUpscaling(LanczosOptions(), Model(id="lanczos"), path=None, blobs=blobs)
    runs = {"resizing": lanczos} if RESIZING in families else {}
    context = make_context(
        families=list(families), runs=runs, statuses=statuses, limits=limits or {}
    )
    async with client_of(context) as client:
        return await client.post(URL, json={"image": IMAGE} | fields)


def opened(item: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(item["b64_json"])))


@pytest.mark.covers("CoderAI: POST /v1/images/upscale")
async def test_the_whole_answer_of_a_trained_engine(
    make_context: MakeContext, tmp_path: Path
) -> None:
    answer = await upscale(make_context, tmp_path)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body.pop("created"), int)
    (item,) = body.pop("data")
    assert body == {}
    assert item.pop("url").endswith(".png")
    assert item == {"width": 28, "height": 20, "engine": "fake"}
    assert answer.headers["x-job-id"]


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
async def test_exact_sizes(make_context: MakeContext, tmp_path: Path, scale: int) -> None:
    answer = await upscale(make_context, tmp_path, scale=scale, response_format="b64_json")
    (item,) = answer.json()["data"]
    image = opened(item)
    assert image.format == "PNG"
    assert image.size == (item["width"], item["height"]) == (7 * scale, 5 * scale)


async def test_resizing_says_so(make_context: MakeContext, tmp_path: Path) -> None:
    answer = await upscale(make_context, tmp_path, (RESIZING,), allow_resize=True, scale=3)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["data"][0].items() >= {"engine": "lanczos", "width": 21, "height": 15}.items()
    assert body["warnings"] == [
        "engine: resized by Lanczos resampling, which adds no detail; no trained upscaler was used"
    ]


async def test_a_trained_engine_goes_before_resizing(
    make_context: MakeContext, tmp_path: Path
) -> None:
    answer = await upscale(make_context, tmp_path, (RESIZING, TRAINED), allow_resize=True)
    assert answer.json()["data"][0]["engine"] == "fake"


async def test_a_trained_engine_that_failed_is_none(
    make_context: MakeContext, tmp_path: Path
) -> None:
    failed = {"repeater": ModelStatus(id="repeater", state="failed", cause="gone")}
    answer = await upscale(make_context, tmp_path, statuses=failed)
    assert answer.status_code == 503
    answer = await upscale(make_context, tmp_path, statuses=failed, allow_resize=True)
    assert answer.json()["data"][0]["engine"] == "lanczos"


@pytest.mark.parametrize(
    ("families", "fields", "param"),
    [
        ((), {"allow_resize": True}, "model"),
        ((RESIZING,), {}, "allow_resize"),
        ((RESIZING,), {"allow_resize": False, "model": "auto"}, "allow_resize"),
        ((RESIZING,), {"model": "lanczos"}, "allow_resize"),
    ],
)
async def test_without_a_trained_engine(
    make_context: MakeContext,
    tmp_path: Path,
    families: tuple[dict[str, Any], ...],
    fields: dict[str, Any],
    param: str,
) -> None:
    answer = await upscale(make_context, tmp_path, families, **fields)
    assert answer.status_code == 503, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("backend_unavailable", param)
    assert "caidas/swin2SR-classical-sr-x2-64" in error["message"]
    assert ("allow resizing" in error["message"]) == (RESIZING in families)


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"image": None}, 400, "image"),
        ({"image": ""}, 400, "image"),
        ({"image": "file:///etc/passwd"}, 400, "image"),
        ({"image": "/v1/files/nothing.png"}, 404, "image"),
        ({"image": base64.b64encode(b"RIFF....WAVEfmt ").decode()}, 400, "image"),
        ({"image": base64.b64encode(png(size=(30, 30))[:60]).decode()}, 400, "image"),
        ({"image": base64.b64encode(claiming_png()).decode()}, 413, "image"),
        ({"image": base64.b64encode(huge_png()).decode()}, 413, "image"),
        ({"image": base64.b64encode(huge_png(4001, 4000)).decode(), "scale": 2}, 413, "scale"),
        ({"scale": 1}, 400, "scale"),
        ({"scale": 5}, 400, "scale"),
        ({"scale": "2"}, 400, "scale"),
        ({"scale": 2.5}, 400, "scale"),
        ({"scale": True}, 400, "scale"),
        ({"allow_resize": "yes"}, 400, "allow_resize"),
        ({"model": "nothing"}, 404, "model"),
        ({"response_format": "b64_mp4"}, 400, "response_format"),
    ],
)
async def test_bad_requests(
    make_context: MakeContext, tmp_path: Path, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = await upscale(make_context, tmp_path, **fields)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param


async def test_the_operators_limit_holds(make_context: MakeContext, tmp_path: Path) -> None:
    for pixels, param in ((34, "image"), (35 * 16 - 1, "scale")):
        answer = await upscale(make_context, tmp_path, limits={"image_pixels": pixels})
        assert answer.status_code == 413, answer.text
        assert answer.json()["error"]["param"] == param
    answer = await upscale(make_context, tmp_path, limits={"image_pixels": 35 * 16})
    assert answer.status_code == 200, answer.text


async def test_it_enters_the_archive(make_context: MakeContext) -> None:
    async with client_of(make_context(families=[TRAINED])) as client:
        answer = await client.post(URL, json={"image": IMAGE, "scale": 2, "tag": "larger"})
        url = answer.json()["data"][0]["url"]
        archived = (await client.get("/v1/archive", params={"tag": "larger"})).json()
    (entry,) = archived["files"]
    wanted = {"url": url, "type": "image", "operation": "image.upscale", "width": 14, "height": 10}
    assert entry.items() >= wanted.items()


async def test_it_can_be_a_job(make_context: MakeContext, tmp_path: Path) -> None:
    answer = await upscale(make_context, tmp_path, ref_id="larger-1", **{"async": True})
    assert answer.status_code == 202
    assert answer.json()["url"] == f"/v1/jobs/{answer.json()['id']}"


async def test_fields_without_effect_are_named(make_context: MakeContext, tmp_path: Path) -> None:
    answer = await upscale(make_context, tmp_path, user="me", sharpen=1)
    assert sorted(answer.headers["x-ignored-fields"].split(",")) == ["sharpen", "user"]


@pytest.mark.parametrize(("wanted", "found"), [("jpeg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")])
async def test_the_format_of_the_result(
    make_context: MakeContext, tmp_path: Path, wanted: str, found: str
) -> None:
    fields = {"output_format": wanted, "output_compression": 50, "response_format": "b64_json"}
    answer = await upscale(make_context, tmp_path, scale=2, **fields)
    assert answer.status_code == 200, answer.text
    image = opened(answer.json()["data"][0])
    assert (image.format, image.size) == (found, (14, 10))
    ignored = answer.headers.get("x-ignored-fields", "")
    assert ("output_compression" in ignored) == (wanted == "png")
