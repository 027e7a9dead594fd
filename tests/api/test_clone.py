"""POST /v1/audio/clone, and speech that clones, over a model that remembers what it was asked."""

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import pytest

from serve_app.core.audio.speech import (
    AudioChunk,
    CloneEvent,
    CloneSpeech,
    ListVoices,
    Speak,
    SpeechEnd,
    Voice,
    Voices,
)
from serve_app.core.errors import InvalidRequest
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.images import png
from tests.material import tone, wav

CLONE, SPEECH, VOICES = "/v1/audio/clone", "/v1/audio/speech", "/v1/audio/voices"
RECORDING, OTHER = wav(tone(1.0)), wav(tone(1.0, hz=220.0))
AUDIO = base64.b64encode(RECORDING).decode()
DATA = wav(tone(0.5))


class Remembering:
    """A SpeechModel with one preset that hears no voice in `OTHER` and cannot say dots."""

    def __init__(self) -> None:
        self.cloned: list[CloneSpeech] = []
        self.spoken: list[Speak] = []

    async def voices(self, request: ListVoices) -> Voices:
        return Voices(voices=(Voice(name="hum"),))

    async def speak(self, request: Speak) -> AsyncGenerator[CloneEvent]:
        self.spoken.append(request)
        yield AudioChunk(data=DATA)
        yield SpeechEnd(duration_s=0.5, characters=2)

    async def clone(self, request: CloneSpeech) -> AsyncGenerator[CloneEvent]:
        self.cloned.append(request)
        if request.text == "…":
            raise InvalidRequest("the text holds nothing that can be said", param="text")
        if request.reference.size != len(RECORDING):
            raise InvalidRequest("no voice was detected in the reference", param="reference")
        yield Progress(phase="clone", current=1, total=2)
        yield AudioChunk(data=DATA)
        yield SpeechEnd(duration_s=0.5, characters=2, warnings=(Notice(text="not quite the same"),))


@pytest.fixture
def model() -> Remembering:
    return Remembering()


@pytest.fixture
async def client(make_context: MakeContext, model: Remembering) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_context(runs={"speech": model})) as client:
        yield client


async def save(client: httpx.AsyncClient, name: str, audio: bytes = RECORDING) -> None:
    fields = {"name": name, "audio": base64.b64encode(audio).decode(), "transcript": "good day"}
    assert (await client.post(VOICES, json=fields)).status_code == 200


@pytest.mark.covers("CoderAI: POST /v1/audio/clone")
async def test_everything_that_is_asked_reaches_the_model(
    client: httpx.AsyncClient, model: Remembering
) -> None:
    fields = {"text": "hi", "ref_audio": AUDIO, "ref_text": "well", "speed": 1.5, "seed": 7}
    fields |= {"language": "German", "ref_language": "en", "engine": "auto", "watermark": True}
    answer = await client.post(CLONE, json=fields)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"created", "data", "warnings"}
    assert body["warnings"] == ["not quite the same"]
    assert (await client.get(body["data"][0]["url"])).content == DATA
    assert answer.headers["x-ignored-fields"] == "ref_text,ref_language,watermark"
    (asked,) = model.cloned
    assert (asked.model, asked.text, asked.language) == ("hum", "hi", "de")
    assert (asked.reference_text, asked.speed, asked.seed) == ("well", 1.5, 7)
    assert (asked.format, asked.reference.size) == ("wav", len(RECORDING))


async def test_the_audio_inside_the_answer_and_in_the_archive(client: httpx.AsyncClient) -> None:
    fields = {"text": "hi", "ref_audio": AUDIO, "response_format": "b64_wav", "tag": "mine"}
    body = (await client.post(CLONE, json=fields)).json()
    assert base64.b64decode(body["data"][0]["b64_wav"]) == DATA
    (entry,) = (await client.get("/v1/archive", params={"tag": "mine"})).json()["files"]
    assert (entry["operation"], entry["prompt"], entry["type"]) == ("audio.clone", "hi", "audio")


async def test_a_saved_voice_brings_its_audio_and_its_transcript(
    client: httpx.AsyncClient, model: Remembering
) -> None:
    await save(client, "ann")
    answer = await client.post(CLONE, json={"text": "hi", "voice_name": "ann"})
    assert answer.status_code == 200, answer.text
    assert "x-ignored-fields" not in answer.headers
    (asked,) = model.cloned
    assert (asked.reference.size, asked.reference_text) == (len(RECORDING), "good day")


async def test_a_recording_goes_before_a_saved_voice(
    client: httpx.AsyncClient, model: Remembering
) -> None:
    fields = {"text": "hi", "voice_name": "nobody", "ref_audio": AUDIO}
    answer = await client.post(CLONE, json=fields)
    assert (answer.status_code, answer.headers["x-ignored-fields"]) == (200, "voice_name")
    assert len(model.cloned) == 1


async def test_errors_name_the_field_that_was_sent(client: httpx.AsyncClient) -> None:
    await save(client, "eve", OTHER + b"  ")
    for path, fields, param in (
        (CLONE, {"text": "hi", "voice_name": "eve"}, "voice_name"),
        (SPEECH, {"input": "hi", "voice_profile": "eve"}, "voice_profile"),
        (SPEECH, {"input": "hi", "voice": "eve", "response_format": "url"}, "voice"),
    ):
        answer = await client.post(path, json=fields)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, param)
        assert error["message"].endswith("no voice was detected in the reference")


@pytest.mark.parametrize(("path", "field"), [(CLONE, "text"), (SPEECH, "input")])
async def test_errors_name_the_text_as_it_was_sent(
    client: httpx.AsyncClient, path: str, field: str
) -> None:
    answer = await client.post(path, json={field: "…", "ref_audio": AUDIO})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


@pytest.mark.parametrize("engine", ["auto", "", "fake", "FAKE", "hum"])
async def test_an_engine_or_a_model_may_be_named(client: httpx.AsyncClient, engine: str) -> None:
    fields = {"text": "hi", "ref_audio": AUDIO, "engine": engine}
    assert (await client.post(CLONE, json=fields)).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"text": None}, 400, "text"),
        ({"text": ""}, 400, "text"),
        ({"text": " \n"}, 400, "text"),
        ({"text": "x" * 16_385}, 400, "text"),
        ({"ref_audio": None}, 400, "ref_audio"),
        ({"ref_audio": ""}, 400, "ref_audio"),
        ({"ref_audio": "!"}, 400, "ref_audio"),
        ({"ref_audio": base64.b64encode(png()).decode()}, 400, "ref_audio"),
        ({"ref_audio": "file:///etc/passwd"}, 400, "ref_audio"),
        ({"ref_audio": "/v1/files/none.wav"}, 404, "ref_audio"),
        ({"ref_audio": None, "voice_name": "nobody"}, 404, "voice_name"),
        ({"ref_audio": None, "voice_name": "../x"}, 400, "voice_name"),
        ({"speed": 0.2}, 400, "speed"),
        ({"speed": 4.1}, 400, "speed"),
        ({"speed": "1"}, 400, "speed"),
        ({"seed": 1.5}, 400, "seed"),
        ({"engine": "unheard-of"}, 400, "engine"),
        ({"language": "klingon"}, 400, "language"),
        ({"ref_language": "klingon"}, 400, "ref_language"),
        ({"response_format": "b64_mp3"}, 400, "response_format"),
    ],
)
async def test_bad_requests(
    client: httpx.AsyncClient, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = await client.post(CLONE, json={"text": "hi", "ref_audio": AUDIO} | fields)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param


async def endpoints(client: httpx.AsyncClient) -> list[str]:
    answer = (await client.get("/coderai/capabilities")).json()
    found: list[str] = answer["studio"]["endpoints"]
    return found


async def test_the_route_is_named_where_a_model_clones(client: httpx.AsyncClient) -> None:
    assert "v1/audio/clone" in await endpoints(client)


async def test_without_a_model_that_clones(make_context: MakeContext, model: Remembering) -> None:
    speech = {"name": "speech", "options": {"engine": "piper"}, "models": [{"id": "hum"}]}
    families = [family for family in FAMILIES if family["name"] != "speech"] + [speech]
    async with client_of(make_context(families=families, runs={"speech": model})) as client:
        answer = await client.post(CLONE, json={"text": "hi", "ref_audio": AUDIO})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "backend_unavailable")
        assert "v1/audio/clone" not in await endpoints(client)
        answer = await client.post(SPEECH, json={"input": "hi", "ref_audio": AUDIO})
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", "ref_audio")


async def test_a_default_that_does_not_clone_leaves_it_to_one_that_does(
    make_context: MakeContext, model: Remembering
) -> None:
    piper = {"name": "piper", "options": {"engine": "piper"}, "models": [{"id": "pipe"}]}
    runs = {"speech": model, "piper": Remembering()}
    context = make_context(families=[piper, *FAMILIES], runs=runs)
    async with client_of(context) as client:
        fields = {"input": "hi", "ref_audio": AUDIO}
        assert (await client.post(SPEECH, json=fields)).status_code == 200
        answer = await client.post(SPEECH, json=fields | {"model": "pipe"})
    assert len(model.cloned) == 1
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", "ref_audio")
    assert "'hum'" in error["message"]


@pytest.mark.parametrize("path", [SPEECH, f"{SPEECH}/stream"])
@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"ref_audio": AUDIO}, ""),
        ({"ref_audio": AUDIO, "task_type": "voice_clone", "voice": "alloy"}, "voice"),
        ({"voice_profile": "ann"}, ""),
        ({"voice": "ann"}, ""),
        ({"voice": {"id": "ann"}, "task_type": "Base"}, ""),
    ],
)
@pytest.mark.covers("aistack: POST /v1/audio/speech with the fields of cloning")
async def test_speech_in_the_voice_of_a_reference(
    client: httpx.AsyncClient, model: Remembering, path: str, fields: dict[str, Any], ignored: str
) -> None:
    await save(client, "ann")
    answer = await client.post(path, json={"input": "hi", "response_format": "wav"} | fields)
    assert answer.status_code == 200, answer.text
    assert answer.content == DATA
    assert answer.headers.get("x-ignored-fields", "") == ignored
    assert (len(model.cloned), len(model.spoken)) == (1, 0)


async def test_streams_jobs_and_batches_clone_alike(
    client: httpx.AsyncClient, model: Remembering
) -> None:
    await save(client, "ann")
    body = {"input": "hi", "voice": "ann"}
    frames = await client.post(SPEECH, json=body | {"stream_format": "sse"})
    assert '"speech.audio.done"' in frames.text
    envelope = (await client.post(SPEECH, json=body | {"response_format": "b64_wav"})).json()
    assert base64.b64decode(envelope["data"][0]["b64_wav"]) == DATA
    assert envelope["warnings"] == ["not quite the same"]
    answer = await client.post(f"{SPEECH}/batch", json={"items": [body, {"input": "hi"}]})
    assert [item["index"] for item in answer.json()["data"]] == [0, 1]
    assert (len(model.cloned), len(model.spoken)) == (3, 1)


async def test_a_preset_goes_before_a_saved_voice(
    client: httpx.AsyncClient, model: Remembering
) -> None:
    await save(client, "hum")
    await save(client, "alloy")
    for voice in ("hum", "alloy", "nobody"):
        await client.post(SPEECH, json={"input": "hi", "voice": voice})
    assert [request.voice for request in model.spoken] == ["hum", "alloy", "nobody"]
    assert model.cloned == []


async def test_a_clone_can_be_a_job(client: httpx.AsyncClient) -> None:
    fields = {"text": "hi", "ref_audio": AUDIO, "async": True}
    answer = await client.post(CLONE, json=fields)
    assert answer.status_code == 202
    job = (await client.get(answer.json()["url"])).json()
    assert job["operation"] == "audio.clone"
