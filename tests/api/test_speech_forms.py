"""The forms in which speech leaves, what is reported of a request, and every field's bad values.
The fake model hums 0.05 s per character.
"""

import base64
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from serve_app.core.audio.speech import AudioChunk, Speak, SpeechEnd, SpeechEvent
from serve_app.core.audio.wav import sized
from serve_app.core.notices import Notice
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.material import decoded, wav

URL = "/v1/audio/speech"
TEXT = "hello there, this is speech"
DURATION_S = len(TEXT) * 0.05
CODECS = {"mp3": "mp3float", "wav": "pcm_s16le", "opus": "opus", "flac": "flac", "aac": "aac"}
PADDING_S = 3 * 1152 / 24_000
"""Lossy codecs pad the start and the end with a few frames."""


def frames_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.text.endswith("\n\n")
    events = answer.text.removesuffix("\n\n").split("\n\n")
    return [json.loads(event.removeprefix("data: ")) for event in events]


@pytest.mark.parametrize("form", CODECS)
@pytest.mark.parametrize("sends", ["bytes", "events"])
async def test_every_form_decodes_to_the_whole_speech(
    client: httpx.AsyncClient, form: str, sends: str
) -> None:
    body = {"input": TEXT, "response_format": form}
    if sends == "bytes":
        data = (await client.post(URL, json=body)).content
    else:
        *deltas, done = frames_of(await client.post(URL, json=body | {"stream_format": "sse"}))
        data = b"".join(base64.b64decode(delta["audio"], validate=True) for delta in deltas)
        assert done["usage"]["seconds"] == pytest.approx(DURATION_S)
        assert done["usage"]["input_characters"] == len(TEXT)
    audio = decoded(data)
    assert audio.codec == CODECS[form]
    assert audio.channels == 1
    assert audio.duration_s == pytest.approx(DURATION_S, abs=PADDING_S)
    assert audio.pitch_hz() == pytest.approx(440, abs=3)


@pytest.mark.parametrize("path", [URL, f"{URL}/stream"])
async def test_raw_samples_are_a_tone_of_24_khz(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={"input": TEXT, "response_format": "pcm"})
    audio = decoded(wav(answer.content, sample_rate=24_000))
    assert audio.duration_s == pytest.approx(DURATION_S)
    assert audio.pitch_hz() == pytest.approx(440, abs=3)


@pytest.mark.parametrize(("asked", "codec"), [("b64_mp3", "mp3float"), ("b64_wav", "pcm_s16le")])
async def test_audio_inside_an_answer_is_what_its_key_says(
    client: httpx.AsyncClient, asked: str, codec: str
) -> None:
    for path, body in (
        (URL, {"input": TEXT}),
        (f"{URL}/batch", {"items": [{"input": TEXT}]}),
    ):
        answer = await client.post(path, json=body | {"response_format": asked})
        [item] = answer.json()["data"]
        audio = decoded(base64.b64decode(item[asked], validate=True))
        assert (audio.codec, audio.sample_rate) == (codec, 24_000)
        assert audio.duration_s == pytest.approx(DURATION_S, abs=PADDING_S)


@pytest.mark.parametrize("asked", ["url", "b64_wav", "b64_mp3", "json"])
async def test_events_cannot_be_one_answer_as_well(client: httpx.AsyncClient, asked: str) -> None:
    body = {"input": TEXT, "stream_format": "sse", "response_format": asked}
    answer = await client.post(URL, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "response_format")
    assert "mp3" in error["message"]


@pytest.mark.parametrize("form", ["mp3", "wav", "pcm"])
async def test_raw_audio_can_have_a_name_of_its_own(client: httpx.AsyncClient, form: str) -> None:
    body = {"input": TEXT, "response_format": form, "style": "news"}
    plain = await client.post(URL, json=body)
    named = await client.post(URL, json=body | {"ref_id": "mine"})
    assert named.content == (plain.content if form != "wav" else sized(plain.content))
    for header in ("content-type", "x-ignored-fields"):
        assert named.headers[header] == plain.headers[header]
    job = (await client.get("/v1/jobs/mine")).json()
    assert (job["id"], job["status"]) == (named.headers["x-job-id"], "succeeded")
    assert (await client.get(job["result"]["data"][0]["url"])).content == named.content
    again = await client.post(URL, json=body | {"ref_id": "mine"})
    assert (again.status_code, again.json()["error"]["param"]) == (409, "ref_id")
    bad = await client.post(URL, json=body | {"ref_id": "bad", "voice": "nobody"})
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "voice")


@pytest.mark.parametrize(
    "extra", [{"async": True}, {"ref_id": "mine"}, {"callback_url": "https://a.example/b"}]
)
async def test_events_cannot_be_a_job_as_well(
    client: httpx.AsyncClient, extra: dict[str, Any]
) -> None:
    for path, sse in ((URL, {"stream_format": "sse"}), (f"{URL}/stream", {})):
        answer = await client.post(path, json={"input": TEXT} | sse | extra)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, *extra)


async def test_the_stream_route_reports_that_it_sends_no_events(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post(f"{URL}/stream", json={"input": TEXT, "stream_format": "sse"})
    assert answer.headers["content-type"] == "audio/pcm"
    assert answer.headers["x-ignored-fields"] == "stream_format"
    answer = await client.post(f"{URL}/stream", json={"input": TEXT, "stream_format": "audio"})
    assert "x-ignored-fields" not in answer.headers


class Talkative:
    """Says something besides, and remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: list[Speak] = []

    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        self.seen.append(request)
        yield AudioChunk(data=b"hum")
        yield SpeechEnd(duration_s=0.5, characters=3, warnings=(Notice(text="it was late"),))


async def test_what_a_model_warns_of_is_in_the_answer(make_context: MakeContext) -> None:
    async with client_of(make_context(runs={"speech": Talkative()})) as client:
        events = await client.post(URL, json={"input": TEXT, "stream_format": "sse"})
        enveloped = await client.post(URL, json={"input": TEXT, "response_format": "b64_mp3"})
        batch = await client.post(f"{URL}/batch", json={"items": [{"input": TEXT}]})
    assert frames_of(events)[-1]["warnings"] == ["it was late"]
    assert enveloped.json()["warnings"] == ["it was late"]
    assert batch.json()["data"][0]["warnings"] == ["it was late"]


async def test_a_seed_reaches_engines_that_draw(make_context: MakeContext) -> None:
    model = Talkative()
    drawing = {
        "name": "speech",
        "options": {"engine": "transformers_speech"},
        "models": [{"id": "vits", "source": "nowhere"}],
    }
    families = [drawing if family["name"] == "speech" else family for family in FAMILIES]
    fields = {"input": TEXT, "seed": 7, "max_new_tokens": 10}
    context = make_context(families=families, runs={"speech": model})
    async with client_of(context) as client:
        answer = await client.post(URL, json=fields)
        batch = await client.post(f"{URL}/batch", json={"items": [fields]})
    assert [request.seed for request in model.seen] == [7, 7]
    for one in (answer, batch):
        assert one.headers["x-ignored-fields"] == "max_new_tokens"


async def test_a_seed_without_effect_is_reported(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json={"input": TEXT, "seed": 7})
    assert answer.headers["x-ignored-fields"] == "seed"


async def test_a_batch_reports_what_no_item_needed(client: httpx.AsyncClient) -> None:
    items = [{"input": "a", "emotion": "joy"}, {"input": "b", "colour": "red"}, {"input": "c"}]
    body = {"items": items, "style": "news", "zzz": 1, "stream_format": "sse", "priority": 3}
    answer = await client.post(f"{URL}/batch", json=body)
    assert answer.status_code == 200
    assert set(answer.headers["x-ignored-fields"].split(",")) == {
        "emotion",
        "colour",
        "style",
        "zzz",
        "stream_format",
        "priority",
    }


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([], "items"),
        ([{"input": "x"}] * 65, "items"),
        (None, "items"),
        ({"input": "x"}, "items"),
    ],
)
async def test_a_batch_has_1_to_64_items(client: httpx.AsyncClient, items: Any, param: str) -> None:
    answer = await client.post(f"{URL}/batch", json={"items": items})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_an_item_that_is_no_object_fails_alone(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{URL}/batch", json={"items": ["x", None, {"input": "x"}]})
    first, second, third = answer.json()["data"]
    assert [first["error"]["param"], second["error"]["param"]] == ["items[0]", "items[1]"]
    assert third.keys() == {"index", "b64_wav"}


async def test_64_items_are_spoken(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{URL}/batch", json={"items": [{"input": "x"}] * 64})
    data = answer.json()["data"]
    assert [item["index"] for item in data] == list(range(64))
    assert all(item.keys() == {"index", "b64_wav"} for item in data)


async def test_an_item_cannot_be_a_job(client: httpx.AsyncClient) -> None:
    items = [{"input": "x", "async": True}, {"input": "x", "ref_id": "mine"}, {"input": "x"}]
    answer = await client.post(f"{URL}/batch", json={"items": items})
    first, second, third = answer.json()["data"]
    assert [first["error"]["param"], second["error"]["param"]] == ["async", "ref_id"]
    assert third.keys() == {"index", "b64_wav"}


BAD: list[tuple[str, Any]] = [
    ("input", ""),
    ("input", "x" * 16_385),
    ("input", None),
    ("input", 7),
    ("input", ["x"]),
    ("input", "\ud800"),
    ("model", 7),
    ("model", "x" * 501),
    ("voice", 7),
    ("voice", ""),
    ("voice", "x" * 201),
    ("voice", {}),
    ("voice", {"id": 7}),
    ("response_format", "ogg"),
    ("response_format", "b64_json"),
    ("response_format", 7),
    ("speed", 0.24),
    ("speed", 4.01),
    ("speed", "1"),
    ("speed", True),
    ("stream_format", "websocket"),
    ("instructions", 7),
    ("emotion", ["joy"]),
    ("style", {}),
    ("voice_profile", 7),
    ("voice_profile", "../x"),
    ("task_type", 7),
    ("task_type", "Singing"),
    ("language", 7),
    ("language", "klingon"),
    ("ref_audio", 7),
    ("ref_audio", "!!!"),
    ("ref_text", 7),
    ("x_vector_only_mode", "yes"),
    ("max_new_tokens", 0),
    ("max_new_tokens", 1.5),
    ("seed", "7"),
    ("seed", 2**63),
    ("user", 7),
    ("tag", 7),
    ("callback_url", ""),
    ("ref_id", "a b"),
    ("async", "yes"),
    ("priority", 101),
]


@pytest.mark.parametrize(("field", "value"), BAD)
@pytest.mark.parametrize("path", [URL, f"{URL}/stream", f"{URL}/batch"])
async def test_a_bad_value_names_its_field(
    client: httpx.AsyncClient, path: str, field: str, value: Any
) -> None:
    fields = {"input": "x"} | {field: value}
    content = json.dumps({"items": [fields]} if path.endswith("batch") else fields)
    headers = {"Content-Type": "application/json"}
    answer = await client.post(path, content=content, headers=headers)
    if path.endswith("batch"):
        assert answer.status_code == 200, answer.text
        error = answer.json()["data"][0]["error"]
    else:
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
    assert error["param"].partition(".")[0] == field
    assert (error["type"], error["kind"]) == ("invalid_request_error", "malformed")


async def test_null_in_an_item_is_absent(client: httpx.AsyncClient) -> None:
    """So that the shared field, and the form of a batch, hold for it."""
    item = {"input": "x", "response_format": None, "speed": None}
    body = {"items": [item], "response_format": "b64_mp3", "speed": 2}
    [spoken] = (await client.post("/v1/audio/speech/batch", json=body)).json()["data"]
    assert spoken.keys() == {"index", "b64_mp3"}
    [plain] = (await client.post("/v1/audio/speech/batch", json={"items": [item]})).json()["data"]
    assert plain.keys() == {"index", "b64_wav"}
