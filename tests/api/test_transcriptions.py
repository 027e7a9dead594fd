"""POST /v1/audio/transcriptions and /translations: forms, formats, frames and model routing."""

import base64
import io
import json
import wave
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptSegment,
)
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from tests.api.conftest import MakeContext, client_of

URL = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
TEXT = "the quick brown fox jumps over the lazy dog"
USAGE = {"type": "duration", "seconds": 3.0}


def wav(seconds: float = 0.1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as audio:
        audio.setparams((1, 2, 16_000, 0, "NONE", ""))
        audio.writeframes(bytes(2 * int(16_000 * seconds)))
    return buffer.getvalue()


WAV = wav()


async def write(client: httpx.AsyncClient, url: str = URL, **fields: Any) -> httpx.Response:
    return await client.post(url, files={"file": ("a.wav", WAV)}, data=fields)


def frames_of(answer: httpx.Response) -> list[dict[str, Any]]:
    events = answer.text.removesuffix("\n\n").split("\n\n")
    return [json.loads(event.removeprefix("data: ")) for event in events]


@pytest.mark.covers("CoderAI: POST /v1/audio/transcriptions")
async def test_json_is_the_default(client: httpx.AsyncClient) -> None:
    answer = await write(client, model="whisper-1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"text": TEXT, "usage": USAGE}


async def test_text(client: httpx.AsyncClient) -> None:
    answer = await write(client, response_format="text")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == TEXT + "\n"


async def test_srt_and_vtt(client: httpx.AsyncClient) -> None:
    answer = await write(client, response_format="srt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith("1\n00:00:00,000 --> 00:00:01,000\nthe quick brown\n\n2\n")
    assert answer.text.count(" --> ") == 3
    answer = await write(client, response_format="vtt")
    assert answer.headers["content-type"] == "text/vtt; charset=utf-8"
    assert answer.text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nthe quick brown\n\n")


@pytest.mark.parametrize("fields", [{}, {"timestamp_granularities[]": ["word", "segment"]}])
async def test_verbose_json(client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    answer = await write(client, response_format="verbose_json", language="de", **fields)
    body = answer.json()
    segments, words = body.pop("segments"), body.pop("words")
    assert body == {
        "task": "transcribe",
        "language": "de",
        "duration": 3.0,
        "text": TEXT,
        "usage": USAGE,
    }
    assert [word["word"] for word in words] == TEXT.split()
    assert words[0] == {"word": "the", "start": 0.0, "end": 1 / 3}
    first = segments[0]
    assert first.pop("words") == words[:3]
    assert first == {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 1.0,
        "text": "the quick brown",
        "tokens": [],
    }
    assert [segment["id"] for segment in segments] == [0, 1, 2]
    assert "x-ignored-fields" not in answer.headers


@pytest.mark.covers("aistack: streams of transcripts")
async def test_frames_of_a_stream(client: httpx.AsyncClient) -> None:
    answer = await write(client, stream="true", response_format="srt")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "[DONE]" not in answer.text
    *deltas, done = frames_of(answer)
    assert done == {
        "type": "transcript.text.done",
        "text": TEXT,
        "language": "en",
        "duration": 3.0,
        "usage": USAGE,
    }
    assert "".join(delta["delta"] for delta in deltas) == TEXT
    assert [delta["delta"] for delta in deltas[:2]] == ["the quick brown", " fox jumps over"]
    assert deltas[0].keys() == {"type", "delta", "segment"}
    assert deltas[0]["type"] == "transcript.text.delta"
    assert deltas[0]["segment"].keys() == {"start", "end", "words"}
    assert deltas[0]["segment"]["words"][0] == {"word": "the", "start": 0.0, "end": 1 / 3}


async def test_a_failure_while_it_listens_is_one_last_frame(make_context: MakeContext) -> None:
    class Breaking:
        async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
            yield TranscriptSegment(id=0, start=0, end=1, text="one")
            raise BackendUnavailable("the device is gone")

    async with client_of(make_context(runs={"transcription": Breaking()})) as client:
        first, last = frames_of(await write(client, stream="true"))
        whole = await write(client)
    assert first["delta"] == "one"
    assert last["error"]["code"] == "backend_unavailable"
    assert last["error"].keys() == {"message", "type", "code", "param", "kind", "provider"}
    assert whole.status_code == 503


async def test_bad_audio_is_refused_before_the_stream_starts(make_context: MakeContext) -> None:
    class Deaf:
        async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
            raise InvalidRequest("file: holds no audio", param="file")
            yield

    async with client_of(make_context(runs={"transcription": Deaf()})) as client:
        answer = await write(client, stream="true")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "file"


async def test_silence_is_no_error(make_context: MakeContext) -> None:
    class Silent:
        async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
            yield Transcript(text="", language=None, duration_s=1.5, segments=())

    async with client_of(make_context(runs={"transcription": Silent()})) as client:
        assert (await write(client)).json()["text"] == ""
        assert (await write(client, response_format="srt")).text == ""
        assert (await write(client, response_format="vtt")).text.startswith("WEBVTT\n")
        assert (await write(client, response_format="verbose_json")).json()["segments"] == []
        [done] = frames_of(await write(client, stream="true"))
        assert (done["text"], done["language"], done["duration"]) == ("", None, 1.5)


@pytest.mark.parametrize(
    "value",
    [
        base64.b64encode(WAV).decode(),
        base64.urlsafe_b64encode(WAV).decode().rstrip("="),
        "data:audio/wav;base64," + base64.b64encode(WAV).decode(),
        "data:text/html;base64," + base64.b64encode(WAV).decode(),
    ],
)
async def test_a_media_string_is_taken_in_json_and_in_a_form(
    client: httpx.AsyncClient, value: str
) -> None:
    answer = await client.post(URL, json={"file": value, "response_format": "text"})
    assert (answer.status_code, answer.text) == (200, TEXT + "\n")
    answer = await client.post(URL, files={"model": (None, "auto"), "file": (None, value)})
    assert answer.json()["text"] == TEXT


async def test_a_stored_upload_is_taken_by_its_names(client: httpx.AsyncClient) -> None:
    stored = (await client.post("/v1/files/upload", content=WAV)).json()
    for value in (stored["id"], stored["url"], stored["path"]):
        answer = await client.post(URL, json={"file": value, "stream": False})
        assert answer.json()["text"] == TEXT


@pytest.mark.covers("aistack: POST /v1/audio/transcriptions with task_type")
async def test_translations(client: httpx.AsyncClient) -> None:
    for url, fields in (
        (TRANSLATIONS, {}),
        (URL, {"translate": "true"}),
        (URL, {"task_type": "Translate"}),
    ):
        answer = await write(client, url, response_format="verbose_json", **fields)
        assert answer.json()["task"] == "translate"
        assert "x-ignored-fields" not in answer.headers
    answer = await write(client, task_type="whatever", response_format="verbose_json")
    assert answer.json()["task"] == "transcribe"
    assert answer.headers["x-ignored-fields"] == "task_type"
    against = {"task_type": "transcribe", "translate": "false"}
    answer = await write(client, TRANSLATIONS, response_format="verbose_json", **against)
    assert answer.json()["task"] == "translate"
    assert answer.headers["x-ignored-fields"] == "task_type,translate"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"diarize": "true"}, "diarize"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"target_language": "fr"}, "target_language"),
    ],
)
async def test_what_no_model_can_do_is_refused(
    client: httpx.AsyncClient, fields: dict[str, str], param: str
) -> None:
    answer = await write(client, **fields)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["code"], error["param"]) == ("unsupported_capability", param)


async def test_fields_without_effect_are_named(client: httpx.AsyncClient) -> None:
    fields = {"include[]": "logprobs", "chunking_strategy": "auto", "num_speakers": "2", "zz": "1"}
    answer = await write(client, **fields)
    assert answer.status_code == 200
    ignored = answer.headers["x-ignored-fields"].split(",")
    assert sorted(ignored) == ["chunking_strategy", "include", "num_speakers", "zz"]


BASE, LARGE = "Systran/faster-whisper-base", "openai/whisper-large-v3"
DISTIL, PARAKEET = "Systran/faster-distil-whisper-large-v3", "nvidia/Parakeet-tdt"
SENSE, SPHINX = "iic/SenseVoiceSmall", "sphinx"
INSTALLED = [PARAKEET, SENSE, BASE, DISTIL, LARGE, SPHINX]


class Listening:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: list[Transcribe] = []

    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        self.seen.append(request)
        yield Transcript(text="", language=None, duration_s=1, segments=())


async def routed(
    make_context: MakeContext, installed: list[str], *, defaults: Any = None, **fields: Any
) -> tuple[httpx.Response, str | None]:
    models = [{"id": name, "can_translate": name == BASE} for name in installed]
    models = [m | {"aliases": ["mine"]} if m["id"] == SPHINX else m for m in models]
    options = {"engine": "fake", "task": "transcription"}
    families = [{"name": "ears", "options": options, "models": models}] if models else []
    families += [{"name": "c", "options": options | {"task": "chat"}, "models": [{"id": "echo"}]}]
    ears = Listening()
    context = make_context(families=families, runs={"ears": ears}, defaults=defaults or {})
    async with client_of(context) as client:
        answer = await write(client, **fields)
    return answer, ears.seen[0].model if ears.seen else None


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("", BASE),
        (" Auto ", BASE),
        ("whisper-1", BASE),
        ("WHISPER-1", BASE),
        ("base", BASE),
        ("whisper-base", BASE),
        (" Whisper-BASE ", BASE),
        ("large-v3", LARGE),
        ("whisper-large-v3", LARGE),
        ("distil-large-v3", DISTIL),
        ("parakeet", PARAKEET),
        ("any-parakeet-v9", PARAKEET),
        ("SenseVoice", SENSE),
        (SENSE.lower(), SENSE),
        ("sphinx", SPHINX),
        ("Mine", SPHINX),
        (LARGE, LARGE),
    ],
)
async def test_the_model_a_name_means(make_context: MakeContext, name: str, model: str) -> None:
    answer, used = await routed(make_context, INSTALLED, model=name)
    assert answer.status_code == 200, answer.text
    assert used == model


@pytest.mark.parametrize("name", ["tiny", "whisper-huge", "huge", "whisper-", "parakeets-no"])
async def test_an_unknown_name_lists_the_sizes(make_context: MakeContext, name: str) -> None:
    answer, _ = await routed(make_context, [BASE, SPHINX], model=name)
    error = answer.json()["error"]
    assert answer.status_code == 404
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    for size in ("tiny.en", "large-v3-turbo", "distil-large-v3"):
        assert size in error["message"]


async def test_a_model_of_another_kind_is_no_listener(make_context: MakeContext) -> None:
    answer, _ = await routed(make_context, [BASE], model="echo")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_capability"


@pytest.mark.parametrize(
    ("language", "model"),
    [
        ("zh", SENSE),
        ("yue", SENSE),
        ("Japanese", SENSE),
        ("ko-KR", SENSE),
        ("en", PARAKEET),
        ("uk", PARAKEET),
        ("German", PARAKEET),
        ("ar", BASE),
        ("auto", BASE),
        ("", BASE),
    ],
)
async def test_routing_by_language(make_context: MakeContext, language: str, model: str) -> None:
    _, used = await routed(make_context, INSTALLED, language=language)
    assert used == model


async def test_routing_falls_back_to_what_is_installed(make_context: MakeContext) -> None:
    distil = "distil-whisper/distil-large-v3"
    assert (await routed(make_context, [BASE, distil], model="whisper-distil-large-v3"))[
        1
    ] == distil
    assert (await routed(make_context, [SPHINX, BASE], language="zh"))[1] == BASE
    assert (await routed(make_context, [SPHINX], language="zh"))[1] == SPHINX
    assert (await routed(make_context, [SPHINX], model="whisper-1"))[1] == SPHINX
    assert (await routed(make_context, INSTALLED, defaults={"transcription": SPHINX}))[1] == SPHINX


async def test_without_a_model_it_is_out_of_service(make_context: MakeContext) -> None:
    answer, _ = await routed(make_context, [])
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"
    assert answer.headers["x-should-retry"] == "false"


async def test_a_model_that_cannot_translate_names_one_that_can(make_context: MakeContext) -> None:
    answer, _ = await routed(make_context, INSTALLED, model=SPHINX, translate="true")
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["code"], error["param"]) == ("unsupported_capability", "translate")
    assert BASE in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"translate": "true"}, "translate"),
        ({"task_type": "Translate"}, "task_type"),
        ({"target_language": "en"}, "target_language"),
    ],
)
async def test_a_refused_translation_names_the_field_that_asked_for_it(
    make_context: MakeContext, fields: dict[str, str], param: str
) -> None:
    answer, _ = await routed(make_context, [SPHINX], **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_without_a_model_a_translation_goes_to_one_that_translates(
    make_context: MakeContext,
) -> None:
    default = {"transcription": SPHINX}
    for model in ("", "auto"):
        asked = {"model": model, "translate": "true"}
        assert (await routed(make_context, INSTALLED, defaults=default, **asked))[1] == BASE
    answer, _ = await routed(make_context, [SPHINX, LARGE], model="auto", translate="true")
    assert answer.status_code == 400


@pytest.mark.parametrize("form", ["json", "srt", "text"])
async def test_what_the_model_has_no_use_for_is_reported_in_every_form(
    make_context: MakeContext, form: str
) -> None:
    asked = {"prompt": "numbers", "temperature": "0.5", "response_format": form}
    answer, _ = await routed(make_context, [SPHINX], **asked)
    assert answer.headers["x-ignored-fields"] == "prompt,temperature"
    answer, _ = await routed(make_context, [SPHINX], temperature="0", response_format=form)
    assert "x-ignored-fields" not in answer.headers


@pytest.mark.parametrize("language", ["fr", "klingon", "xx"])
async def test_languages_a_model_does_not_know(client: httpx.AsyncClient, language: str) -> None:
    answer = await write(client, language=language)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "language"


async def test_the_request_reaches_the_model(make_context: MakeContext) -> None:
    ears = Listening()
    async with client_of(make_context(runs={"transcription": ears})) as client:
        await write(client, language="English", prompt="names: Ann", temperature="0.5")
        await client.post(URL, json={"file": base64.b64encode(WAV).decode(), "temperature": 1})
    first, second = ears.seen
    assert (first.language, first.prompt, first.temperature) == ("en", "names: Ann", 0.5)
    assert (second.language, second.prompt, second.temperature) == (None, None, 1.0)
    assert first.audio == second.audio
    assert (first.audio.mime, first.audio.size) == ("audio/wav", len(WAV))
