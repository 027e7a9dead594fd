"""POST /v1/video/process over the real engine and over the fake."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.video.av_media import AvMedia
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.video import AvOptions
from tests.api.conftest import MakeContext, client_of
from tests.images import data_url, png
from tests.material import clip, tone
from tests.videos import look

URL = "/v1/video/process"
MARK = data_url(png("blue", (10, 10)))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds of 64x48 with a tone."""
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    return clip(path, 2.0, audio=tone(2.0)).read_bytes()


@pytest.fixture
def context(make_context: MakeContext, tmp_path: Path) -> Any:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    media = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    return make_context(runs={"media": media})


async def test_all_steps_in_one_request(context: Any, video: bytes) -> None:
    steps: list[dict[str, Any]] = [
        {"type": "trim", "start": 0.5, "end": 1.5},
        {"type": "scale", "width": 128},
        {"type": "crop", "x": 8, "y": 8, "width": 100, "height": 80},
        {"type": "watermark", "image": MARK, "position": "center"},
        {"type": "convert", "format": "mov"},
    ]
    async with client_of(context) as client:
        body = {"video": data_url(video), "steps": steps, "response_format": "base64"}
        answer = await client.post(URL, json=body)
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["data"]
    found = look(base64.b64decode(item.pop("b64_mp4")))
    assert (found.size, found.frames) == ((100, 80), 10)
    assert item.pop("duration") == pytest.approx(1.0, abs=0.1)
    assert item == {"width": 100, "height": 80, "format": "mov", "encoded": "all"}


async def test_a_form_with_files(context: Any, video: bytes) -> None:
    steps = [{"type": "watermark"}, {"type": "convert", "format": "mkv"}]
    async with client_of(context) as client:
        answer = await client.post(
            URL,
            files={"video": ("a.mp4", video), "watermark": ("b.png", png("blue", (5, 5)))},
            data={"steps": json.dumps(steps), "audio_track": "0"},
        )
        assert answer.status_code == 200, answer.text
        (item,) = answer.json()["data"]
        made = await client.get(item["url"])
    assert item["url"].endswith(".mkv")
    assert made.headers["content-type"] == "video/x-matroska"


async def test_a_queued_call(client: httpx.AsyncClient, video: bytes) -> None:
    steps = [{"type": "trim", "end": 1}]
    body = {"video": data_url(video), "steps": steps, "async": True}
    assert (await client.post(URL, json=body)).status_code == 202


@pytest.mark.parametrize(
    ("step", "param"),
    [
        ({"type": "trim", "start": 2.5}, "steps[0]"),
        ({"type": "trim", "start": 10**18}, "steps[0]"),
        ({"type": "trim", "start": 1, "end": 1}, "steps[0]"),
        ({"type": "trim", "start": 1, "end": 0.5}, "steps[0]"),
        ({"type": "trim", "end": 0}, "steps[0].end"),
        ({"type": "trim", "start": -1}, "steps[0].start"),
        ({"type": "trim", "start": "0:01"}, "steps[0].start"),
        ({"type": "crop", "width": 65, "height": 1}, "steps[0]"),
        ({"type": "scale", "width": 10**15}, "steps[0]"),
        ({"type": "scale", "width": 0}, "steps[0].width"),
        ({"type": "watermark"}, "steps[0].image"),
        ({"type": "watermark", "image": MARK, "opacity": -1}, "steps[0].opacity"),
        ({"type": "convert", "format": "MVK"}, "steps[0].format"),
        ({"type": "turn"}, "steps[0]"),
    ],
)
async def test_bad_steps(context: Any, video: bytes, step: Any, param: str) -> None:
    async with client_of(context) as client:
        answer = await client.post(URL, json={"video": data_url(video), "steps": [step]})
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"video": data_url(png())}, "video"),
        ({"audio_track": 1}, "audio_track"),
        ({"steps": None}, "steps"),
        ({"response_format": "b64_wav"}, "response_format"),
    ],
)
async def test_bad_fields(context: Any, video: bytes, fields: dict[str, Any], param: str) -> None:
    steps = [{"type": "scale", "width": 32}]
    async with client_of(context) as client:
        answer = await client.post(URL, json={"video": data_url(video), "steps": steps} | fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
