"""POST /v1/audio/speech, /stream and /batch. The fake model hums 0.05 s per character."""

import base64
import io
import json
import wave
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from serve_app.blobs.sniff import sniff
from serve_app.core.audio.speech import AudioChunk, Speak, SpeechEvent
from serve_app.core.errors import BackendUnavailable
from tests.api.conftest import MakeContext, client_of

URL = "/v1/audio/speech"
TEXT = "hello"
SAMPLES = 6000  # 0.25 s at 24 kHz
HELLO = {"input": TEXT}


def frames_of(answer: httpx.Response) -> list[dict[str, Any]]:
    events = answer.text.removesuffix("\n\n").split("\n\n")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def wav_samples(data: bytes) -> int:
    with wave.open(io.BytesIO(data)) as audio:
        assert (audio.getnchannels(), audio.getsampwidth(), audio.getframerate()) == (1, 2, 24_000)
        return audio.getnframes()


@pytest.mark.parametrize(
    ("asked", "mime", "sniffed"),
    [
        (None, "audio/mpeg", "audio/mpeg"),
        ("mp3", "audio/mpeg", "audio/mpeg"),
        ("wav", "audio/wav", "audio/wav"),
        ("opus", "audio/ogg", "audio/ogg"),
        ("flac", "audio/flac", "audio/flac"),
        ("aac", "audio/aac", "audio/aac"),
        ("pcm", "audio/pcm", None),
    ],
)
@pytest.mark.covers("CoderAI: POST /v1/audio/speech")
async def test_raw_audio_has_the_type_it_says(
    client: httpx.AsyncClient, asked: str | None, mime: str, sniffed: str | None
) -> None:
    answer = await client.post(URL, json=HELLO | {"response_format": asked})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == mime
    assert sniff(answer.content) == sniffed


async def test_pcm_is_24_khz_mono_and_speed_shortens_it(client: httpx.AsyncClient) -> None:
    for speed, samples in ((None, SAMPLES), (2, SAMPLES // 2), (0.5, SAMPLES * 2)):
        body = HELLO | {"response_format": "pcm", "speed": speed}
        answer = await client.post(URL, json=body)
        assert len(answer.content) == samples * 2


@pytest.mark.parametrize("name", [None, "", "auto", "hum", "tts-1", "TTS-1-HD", "gpt-4o-mini-tts"])
async def test_openai_names_mean_the_default(client: httpx.AsyncClient, name: str | None) -> None:
    answer = await client.post(URL, json=HELLO | {"model": name})
    assert answer.status_code == 200


@pytest.mark.parametrize("voice", [None, "alloy", "hum", {"id": "alloy"}])
async def test_voices(client: httpx.AsyncClient, voice: Any) -> None:
    assert (await client.post(URL, json=HELLO | {"voice": voice})).status_code == 200


async def test_an_unknown_voice_lists_the_known_ones(client: httpx.AsyncClient) -> None:
    for extra in ({}, {"stream_format": "sse"}, {"response_format": "url"}):
        answer = await client.post(URL, json=HELLO | {"voice": "nobody"} | extra)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, "voice")
        assert "hum, alloy" in error["message"]


async def test_a_file_by_its_url(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json=HELLO | {"response_format": "url"})
    body = answer.json()
    assert body.keys() == {"created", "data"}
    assert isinstance(body["created"], int)
    [item] = body["data"]
    assert item.keys() == {"url"}
    assert item["url"].startswith("/v1/files/")
    audio = await client.get(item["url"])
    assert audio.headers["content-type"] == "audio/mpeg"
    assert sniff(audio.content) == "audio/mpeg"


async def test_urls_are_absolute_when_the_address_is_known(make_context: MakeContext) -> None:
    async with client_of(make_context(server={"public_url": "https://ai.example"})) as client:
        answer = await client.post(URL, json=HELLO | {"response_format": "url"})
    assert answer.json()["data"][0]["url"].startswith("https://ai.example/v1/files/")


@pytest.mark.parametrize(
    ("asked", "key"),
    [("b64_wav", "b64_wav"), ("b64_mp3", "b64_mp3"), ("base64", "b64_wav"), ("b64", "b64_wav")],
)
@pytest.mark.covers("CoderAI: outputs as url, b64_json, b64_mp4, b64_wav or b64_mp3")
async def test_audio_inside_the_answer(client: httpx.AsyncClient, asked: str, key: str) -> None:
    answer = await client.post(URL, json=HELLO | {"response_format": asked})
    assert answer.status_code == 200, answer.text
    [item] = answer.json()["data"]
    assert item.keys() == {key}
    data = base64.b64decode(item[key], validate=True)
    if key == "b64_wav":
        assert wav_samples(data) == SAMPLES
    else:
        assert sniff(data) == "audio/mpeg"


async def test_the_plain_json_form(client: httpx.AsyncClient) -> None:
    body = (await client.post(URL, json=HELLO | {"response_format": "json"})).json()
    assert body.keys() == {"audio", "format"}
    assert body["format"] == "mp3"
    assert sniff(base64.b64decode(body["audio"], validate=True)) == "audio/mpeg"


async def test_server_sent_audio(client: httpx.AsyncClient) -> None:
    body = HELLO | {"stream_format": "sse", "response_format": "pcm"}
    answer = await client.post(URL, json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "[DONE]" not in answer.text
    *deltas, done = frames_of(answer)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert {frozenset(delta) for delta in deltas} == {frozenset({"type", "audio"})}
    audio = b"".join(base64.b64decode(delta["audio"], validate=True) for delta in deltas)
    assert len(audio) == SAMPLES * 2
    usage = {"type": "duration", "seconds": 0.25, "input_characters": 5}
    assert done == {"type": "speech.audio.done", "usage": usage}


class Breaking:
    """Hums once, then fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        yield AudioChunk(data=b"hum")
        raise self._error


async def test_a_failure_while_it_speaks_is_one_last_frame(make_context: MakeContext) -> None:
    error = BackendUnavailable("the voice is gone")
    async with client_of(make_context(runs={"speech": Breaking(error)})) as client:
        answer = await client.post(URL, json=HELLO | {"stream_format": "sse"})
    first, last = frames_of(answer)
    assert first["type"] == "speech.audio.delta"
    assert last["error"]["code"] == "backend_unavailable"
    assert last["error"].keys() == {"message", "type", "code", "param", "kind", "provider"}


@pytest.mark.parametrize("asked", [None, "pcm", "wav"])
@pytest.mark.covers("aistack: streams of audio")
async def test_the_stream_route_sends_raw_audio(
    client: httpx.AsyncClient, asked: str | None
) -> None:
    answer = await client.post(f"{URL}/stream", json=HELLO | {"response_format": asked})
    mime = "audio/wav" if asked == "wav" else "audio/pcm"
    assert answer.headers["content-type"] == mime
    assert "content-length" not in answer.headers
    header = 44 if asked == "wav" else 0
    assert len(answer.content) == header + SAMPLES * 2


@pytest.mark.parametrize("asked", ["mp3", "url", "b64_wav", "json"])
async def test_the_stream_route_refuses_other_forms(client: httpx.AsyncClient, asked: str) -> None:
    answer = await client.post(f"{URL}/stream", json=HELLO | {"response_format": asked})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "response_format"


async def test_a_batch_speaks_every_item_in_its_place(client: httpx.AsyncClient) -> None:
    items = [{"input": "a"}, {"input": "bb", "response_format": "url"}, {"input": "ccc"}]
    answer = await client.post(f"{URL}/batch", json={"items": items, "voice": "alloy"})
    body = answer.json()
    assert body.keys() == {"created", "data"}
    first, second, third = body["data"]
    assert [item["index"] for item in body["data"]] == [0, 1, 2]
    assert first.keys() == third.keys() == {"index", "b64_wav"}
    assert second.keys() == {"index", "url"}
    assert wav_samples(base64.b64decode(first["b64_wav"])) == 1200
    assert wav_samples(base64.b64decode(third["b64_wav"])) == 3600


async def test_one_bad_item_does_not_fail_the_rest(client: httpx.AsyncClient) -> None:
    items: list[Any] = [
        {"input": "fine"},
        {"input": "x", "voice": "nobody"},
        {"input": ""},
        {"speed": 2},
        {"input": "x", "speed": 9},
        {"input": "x", "model": "nothing"},
        {"input": "x", "response_format": "mp3"},
        {"input": "fine"},
    ]
    body = {"items": items, "response_format": "b64_mp3"}
    answer = await client.post(f"{URL}/batch", json=body)
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert [item["index"] for item in data] == list(range(8))
    assert data[0].keys() == data[7].keys() == {"index", "b64_mp3"}
    errors = [item["error"] for item in data[1:7]]
    assert [error["param"] for error in errors] == [
        "voice",
        "input",
        "input",
        "speed",
        "model",
        "response_format",
    ]
    assert [error["code"] for error in errors].count("model_not_found") == 1


async def test_an_item_that_breaks_the_model_is_an_error_of_its_own(
    make_context: MakeContext,
) -> None:
    runs = {"speech": Breaking(RuntimeError("/srv/secret.py"))}
    async with client_of(make_context(runs=runs)) as client:
        answer = await client.post(f"{URL}/batch", json={"items": [HELLO]})
    assert answer.status_code == 200
    assert answer.json()["data"][0]["error"]["code"] == "internal_error"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"voice_profile": "ann"}, 404, "not_found", "voice_profile"),
        ({"ref_audio": "aGk="}, 400, "invalid_request", "ref_audio"),
        ({"task_type": "VoiceClone"}, 400, "invalid_request", "ref_audio"),
        ({"task_type": "CustomVoice", "ref_audio": "aGk="}, 400, "invalid_request", "task_type"),
        ({"task_type": "voice-design"}, 400, "unsupported_capability", "task_type"),
        ({"task_type": "nonsense"}, 400, "invalid_request", "task_type"),
        ({"language": "klingon"}, 400, "invalid_request", "language"),
        ({"input": " \n"}, 400, "invalid_request", "input"),
    ],
)
async def test_what_no_model_can_do_is_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    for path in (URL, f"{URL}/stream"):
        answer = await client.post(path, json=HELLO | fields)
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == (code, param)


@pytest.mark.parametrize("task", ["CustomVoice", "custom_voice", "custom-voice", "", None])
async def test_the_ordinary_task_may_be_named(client: httpx.AsyncClient, task: Any) -> None:
    assert (await client.post(URL, json=HELLO | {"task_type": task})).status_code == 200


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        (None, None),
        ("Auto", None),
        ("en", "en"),
        ("EN_us", "en-us"),
        ("English", "en"),
        ("german", "de"),
    ],
)
async def test_languages_reach_the_model_as_codes(
    make_context: MakeContext, asked: str | None, heard: str | None
) -> None:
    seen: list[Speak] = []

    class Listening:
        async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
            seen.append(request)
            yield AudioChunk(data=b"x")

    async with client_of(make_context(runs={"speech": Listening()})) as client:
        await client.post(URL, json=HELLO | {"language": asked})
    assert seen[0].language == heard


async def test_fields_without_effect_are_named(client: httpx.AsyncClient) -> None:
    fields = {"instructions": "softly", "emotion": "joy", "style": "news", "user": "u", "zzz": 1}
    for path in (URL, f"{URL}/stream"):
        answer = await client.post(path, json=HELLO | fields)
        assert sorted(answer.headers["x-ignored-fields"].split(",")) == sorted(fields)
