"""POST /v1/audio/process over the real engine and over the fake."""

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
from tests.material import decoded, tone, wav

URL = "/v1/audio/process"
TONE = wav(tone(1.0))
AUDIO = data_url(TONE)
TO_MP3 = [{"type": "convert", "format": "mp3"}]


@pytest.fixture
def context(make_context: MakeContext, tmp_path: Path) -> Any:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    media = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    return make_context(runs={"media": media})


async def test_a_conversion(context: Any) -> None:
    async with client_of(context) as client:
        body = {"audio": AUDIO, "steps": TO_MP3, "response_format": "b64_wav"}
        answer = await client.post(URL, json=body)
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["data"]
    heard = decoded(base64.b64decode(item.pop("b64_wav")))
    assert heard.codec.startswith("mp3")
    assert heard.pitch_hz() == pytest.approx(440, abs=2)
    assert item.pop("duration") == pytest.approx(1.0, abs=0.1)
    assert item == {"format": "mp3"}


async def test_a_form(context: Any) -> None:
    async with client_of(context) as client:
        files, data = {"audio": ("a.wav", TONE)}, {"steps": json.dumps(TO_MP3), "audio_track": "0"}
        answer = await client.post(URL, files=files, data=data)
        assert answer.status_code == 200, answer.text
        (item,) = answer.json()["data"]
        made = await client.get(item["url"])
    assert item["url"].endswith(".mp3")
    assert made.headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"steps": [{"type": "convert", "format": "exe"}]}, "steps[0].format"),
        ({"steps": [{"type": "scale", "width": 3}]}, "steps[0].type"),
        ({"steps": []}, "steps"),
        ({"steps": None}, "steps"),
        ({"audio": data_url(png())}, "audio"),
        ({"audio_track": 3}, "audio_track"),
        ({"audio_track": -1}, "audio_track"),
        ({"audio_track": "xx-nowhere"}, "audio_track"),
        ({"response_format": "b64_json"}, "response_format"),
    ],
)
async def test_bad_fields(context: Any, fields: dict[str, Any], param: str) -> None:
    async with client_of(context) as client:
        answer = await client.post(URL, json={"audio": AUDIO, "steps": TO_MP3} | fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


async def test_a_queued_call(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        URL, json={"audio": AUDIO, "steps": TO_MP3}, headers={"Prefer": "respond-async"}
    )
    assert answer.status_code == 202
