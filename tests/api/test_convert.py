"""POST /v1/audio/convert over the fake, and over real signal processing."""

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.audio.rubberband_conversion import RubberbandConversion
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.voice_conversion import ConversionEvent, ConvertedVoice, ConvertVoice
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.notices import Notice
from serve_app.core.options.audio import RubberbandOptions
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.images import png
from tests.material import decoded, silence, spoken, tone, wav

URL, VOICES = "/v1/audio/convert", "/v1/audio/voices"
AUDIO, OTHER = wav(tone(1.0)), wav(tone(0.5, hz=220.0))
SOURCE, TARGET = (base64.b64encode(audio).decode() for audio in (AUDIO, OTHER))
FAKE = {
    "name": "convert",
    "options": {"engine": "fake", "task": "conversion"},
    "models": [{"id": "ventriloquist"}],
}
REAL = {"name": "convert", "options": {"engine": "rubberband"}, "models": [{"id": "rubberband"}]}


class Remembering:
    """A VoiceConverter that hears no voice in what is shorter than `AUDIO`."""

    def __init__(self) -> None:
        self.asked: list[ConvertVoice] = []

    async def convert_voice(self, request: ConvertVoice) -> AsyncGenerator[ConversionEvent]:
        self.asked.append(request)
        if request.target.size < len(OTHER):
            raise InvalidRequest("no voice was detected in the target", param="target")
        yield ConvertedVoice(
            audio=request.source, duration_s=1.0, warnings=(Notice(text="roughly"),)
        )


@pytest.fixture
def model() -> Remembering:
    return Remembering()


@pytest.fixture
async def client(make_context: MakeContext, model: Remembering) -> AsyncIterator[httpx.AsyncClient]:
    context = make_context(families=[*FAMILIES, FAKE], runs={"convert": model})
    async with client_of(context) as client:
        yield client


async def save(client: httpx.AsyncClient, name: str, audio: bytes) -> None:
    fields = {"name": name, "audio": base64.b64encode(audio).decode(), "transcript": "good day"}
    assert (await client.post(VOICES, json=fields)).status_code == 200


@pytest.mark.covers("CoderAI: POST /v1/audio/convert")
async def test_everything_that_is_asked_reaches_the_model(
    client: httpx.AsyncClient, model: Remembering
) -> None:
    fields = {"f0_condition": True, "pitch_shift": -3, "diffusion_steps": 20}
    fields |= {"length_adjust": 1.5, "inference_cfg_rate": 0.2, "model": "ventriloquist"}
    answer = await client.post(URL, json={"source_audio": SOURCE, "target_voice": TARGET} | fields)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"created", "data", "warnings"}
    assert body["warnings"] == ["roughly"]
    assert (await client.get(body["data"][0]["url"])).content == AUDIO
    (asked,) = model.asked
    assert (asked.source.size, asked.target.size) == (len(AUDIO), len(OTHER))
    assert (asked.is_singing, asked.sample_rate, asked.pitch_shift) == (True, 44_100, -3)
    assert (asked.diffusion_steps, asked.guidance, asked.length_adjust) == (20, 0.2, 1.5)


async def test_what_is_not_asked_is_left_to_the_model(
    client: httpx.AsyncClient, model: Remembering
) -> None:
    fields = {"source_audio": SOURCE, "target_voice": TARGET, "response_format": "b64"}
    body = (await client.post(URL, json=fields)).json()
    assert base64.b64decode(body["data"][0]["b64_wav"]) == AUDIO
    (asked,) = model.asked
    assert (asked.is_singing, asked.sample_rate, asked.pitch_shift) == (False, 22_050, 0)
    assert (asked.diffusion_steps, asked.guidance, asked.length_adjust) == (None, None, 1)


async def test_a_saved_voice_is_a_target(client: httpx.AsyncClient, model: Remembering) -> None:
    await save(client, "ann", OTHER)
    answer = await client.post(URL, json={"source_audio": SOURCE, "voice_name": "ann"})
    assert answer.status_code == 200, answer.text
    assert model.asked[0].target.size == len(OTHER)
    both = {"source_audio": SOURCE, "target_voice": TARGET, "voice_name": "nobody"}
    answer = await client.post(URL, json=both)
    assert (answer.status_code, answer.headers["x-ignored-fields"]) == (200, "voice_name")


async def test_errors_name_the_field_that_was_sent(client: httpx.AsyncClient) -> None:
    await save(client, "eve", wav(silence(0.1)))
    answer = await client.post(URL, json={"source_audio": SOURCE, "voice_name": "eve"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "voice_name")
    assert error["message"].endswith("no voice was detected in the target")


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"source_audio": None}, 400, "source_audio"),
        ({"source_audio": ""}, 400, "source_audio"),
        ({"source_audio": base64.b64encode(png()).decode()}, 400, "source_audio"),
        ({"source_audio": "file:///etc/passwd"}, 400, "source_audio"),
        ({"target_voice": None}, 400, "target_voice"),
        ({"target_voice": ""}, 400, "target_voice"),
        ({"target_voice": "!"}, 400, "target_voice"),
        ({"target_voice": "/v1/files/none.wav"}, 404, "target_voice"),
        ({"target_voice": None, "voice_name": "nobody"}, 404, "voice_name"),
        ({"target_voice": None, "voice_name": "a/b"}, 400, "voice_name"),
        ({"f0_condition": "yes"}, 400, "f0_condition"),
        ({"pitch_shift": -24.5}, 400, "pitch_shift"),
        ({"pitch_shift": 25}, 400, "pitch_shift"),
        ({"pitch_shift": "1"}, 400, "pitch_shift"),
        ({"diffusion_steps": 9}, 400, "diffusion_steps"),
        ({"diffusion_steps": 101}, 400, "diffusion_steps"),
        ({"diffusion_steps": 10.5}, 400, "diffusion_steps"),
        ({"length_adjust": 0.4}, 400, "length_adjust"),
        ({"length_adjust": 2.1}, 400, "length_adjust"),
        ({"inference_cfg_rate": -0.1}, 400, "inference_cfg_rate"),
        ({"inference_cfg_rate": 1.1}, 400, "inference_cfg_rate"),
        ({"response_format": "b64_json"}, 400, "response_format"),
        ({"model": "unheard-of"}, 404, "model"),
        ({"model": "echo"}, 400, "model"),
    ],
)
async def test_bad_requests(
    client: httpx.AsyncClient, fields: dict[str, Any], status: int, param: str
) -> None:
    wanted = {"source_audio": SOURCE, "target_voice": TARGET}
    answer = await client.post(URL, json=wanted | fields)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param


async def test_without_a_model(make_context: MakeContext) -> None:
    async with client_of(make_context()) as client:
        answer = await client.post(URL, json={"source_audio": SOURCE, "target_voice": TARGET})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "backend_unavailable")


async def test_it_can_be_a_job(make_context: MakeContext) -> None:
    async with client_of(make_context(families=[FAKE])) as client:
        fields = {"source_audio": SOURCE, "target_voice": TARGET, "async": True}
        answer = await client.post(URL, json=fields)
        assert answer.status_code == 202
        job = (await client.get(answer.json()["url"])).json()
    assert job["operation"] == "audio.convert"


async def test_by_real_signal_processing(make_context: MakeContext, tmp_path: Path) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    engine = RubberbandConversion(
        RubberbandOptions(), Model(id="rubberband"), path=None, blobs=blobs
    )
    low, high = [
        base64.b64encode(await spoken(tmp_path, "good morning", voice=voice)).decode()
        for voice in ("en-us", "en-us+f2")
    ]
    async with client_of(make_context(families=[REAL], runs={"convert": engine})) as client:
        fields = {"source_audio": low, "target_voice": high, "response_format": "b64_wav"}
        body = (await client.post(URL, json=fields | {"diffusion_steps": 10})).json()
        quiet = base64.b64encode(wav(silence(1.0))).decode()
        answer = await client.post(URL, json={"source_audio": low, "target_voice": quiet})
    audio = decoded(base64.b64decode(body["data"][0]["b64_wav"]))
    assert (audio.sample_rate, audio.channels) == (22_050, 1)
    assert "signal processing" in body["warnings"][0]
    assert body["warnings"][1].startswith("the number of diffusion steps has no effect")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "target_voice")
