"""POST /v1/images/faceswap over the fake, which hands targets back."""

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.image.opencv_faces import OpencvFaces
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.image import OpencvFacesOptions
from tests.api.conftest import MakeContext, client_of
from tests.images import png
from tests.material import clip, tone, wav
from tests.scenes import png_of, portrait

URL = "/v1/images/faceswap"


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


FACE = base64_of(png("red", (40, 20)))
TARGET = base64_of(png("blue", (64, 64)))


@pytest.fixture
def video(tmp_path: Path) -> str:
    return base64_of(clip(tmp_path / "video.mp4", 0.5).read_bytes())


async def swapped(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post(URL, json={"source_face": FACE, "target": TARGET} | fields)


@pytest.mark.covers("CoderAI: POST /v1/images/faceswap")
async def test_the_whole_answer(client: httpx.AsyncClient) -> None:
    answer = await swapped(client)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body.pop("created"), int)
    (item,) = body.pop("data")
    assert body == {"faces_swapped": 1}
    assert item.keys() == {"url", "faces_swapped"}
    file = await client.get(item["url"])
    assert base64_of(file.content) == TARGET
    assert answer.headers["x-job-id"]


@pytest.mark.parametrize("kind", [None, "video"])
async def test_a_video(client: httpx.AsyncClient, video: str, kind: str | None) -> None:
    answer = await swapped(client, target=video, target_type=kind, response_format="b64_mp4")
    (item,) = answer.json()["data"]
    assert item == {"b64_mp4": video, "faces_swapped": 1}
    answer = await swapped(client, target=video, target_type=kind, response_format="base64")
    assert "b64_mp4" in answer.json()["data"][0]


@pytest.mark.parametrize("form", ["b64_json", "base64", "b64"])
async def test_an_image_inside_the_answer(client: httpx.AsyncClient, form: str) -> None:
    answer = await swapped(client, response_format=form, target_type="image", faces="largest")
    assert answer.json()["data"] == [{"b64_json": TARGET, "faces_swapped": 1}]


async def test_the_real_engine(make_context: MakeContext, tmp_path: Path) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    faces = OpencvFaces(OpencvFacesOptions(), Model(id="opencv"), path=None, blobs=blobs)
    face = base64_of(png_of(portrait((240, 240), (20, 20, 200))))
    crowd = base64_of(png_of(portrait((480, 240), (20, 20, 180), (300, 60, 120))))
    async with client_of(make_context(runs={"faces": faces})) as client:
        body = (await swapped(client, source_face=face, target=crowd)).json()
        assert body["faces_swapped"] == 2
        assert body["warnings"]
        one = await swapped(client, source_face=face, target=crowd, faces="largest")
        assert one.json()["faces_swapped"] == 1
        nobody = (await swapped(client, source_face=face, response_format="b64_json")).json()
        assert nobody["data"][0]["b64_json"] == TARGET
        assert nobody["faces_swapped"] == 0
        assert "no face" in nobody["warnings"][0]
        faceless = await swapped(client, target=crowd)
    assert faceless.status_code == 400
    assert faceless.json()["error"]["param"] == "source_face"


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"source_face": None}, 400, "source_face"),
        ({"source_face": ""}, 400, "source_face"),
        ({"source_face": "AAAA"}, 400, "source_face"),
        ({"source_face": base64_of(wav(tone(0.1)))}, 400, "source_face"),
        ({"target": None}, 400, "target"),
        ({"target": base64_of(wav(tone(0.1)))}, 400, "target"),
        ({"target": base64_of(wav(tone(0.1))), "target_type": "video"}, 400, "target"),
        ({"target": "file:///etc/passwd"}, 400, "target"),
        ({"target": "/v1/files/nothing.png"}, 404, "target"),
        ({"target_type": "video"}, 400, "target"),
        ({"target_type": "audio"}, 400, "target_type"),
        ({"faces": "smallest"}, 400, "faces"),
        ({"faces": 1}, 400, "faces"),
        ({"model": "echo"}, 400, "model"),
        ({"model": "nothing"}, 404, "model"),
        ({"response_format": "b64_mp4"}, 400, "response_format"),
        ({"response_format": "b64_json", "target_type": "video"}, 400, "response_format"),
    ],
)
async def test_bad_requests(
    client: httpx.AsyncClient, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = await swapped(client, **fields)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param


async def test_a_video_that_is_said_to_be_an_image(client: httpx.AsyncClient, video: str) -> None:
    answer = await swapped(client, target=video, target_type="image")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "target"
    answer = await swapped(client, source_face=video)
    assert answer.json()["error"]["param"] == "source_face"


async def test_without_a_model(make_context: MakeContext) -> None:
    async with client_of(make_context(families=[])) as client:
        answer = await swapped(client)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"


async def test_it_is_archived_and_can_be_a_job(client: httpx.AsyncClient) -> None:
    await swapped(client, tag="party")
    (entry,) = (await client.get("/v1/archive", params={"tag": "party"})).json()["files"]
    assert (entry["operation"], entry["width"], entry["height"]) == ("image.faceswap", 64, 64)
    answer = await swapped(client, user="ann", **{"async": True})
    assert answer.status_code == 202
    assert answer.headers["x-ignored-fields"] == "user"
