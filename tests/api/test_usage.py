"""GET /admin/api/usage: what requests and jobs use is counted once, for whom and of which model."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve_app.api.app import create_app
from serve_app.api.context import Context
from serve_app.core.amounts import Amounts
from serve_app.core.audio.speech import AudioChunk, ListVoices, Speak, SpeechEvent, Voices
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent
from serve_app.observability.usage_metrics import bounded
from tests.api.conftest import MakeContext, client_of
from tests.api.test_transcriptions import WAV

URL = "/admin/api/usage"
ENVIRONMENT = {"API_TOKENS": "sk-caller", "ADMIN_TOKEN": "sk-boss"}
BOSS = {"Authorization": "Bearer sk-boss"}
NONE = {
    "requests": 0,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "cached_tokens": 0,
    "reasoning_tokens": 0,
    "images": 0,
    "audio_seconds": 0.0,
    "video_seconds": 0.0,
    "cost": 0.0,
}
PRICES = [
    {"model": "ec*", "prompt_tokens": 1_000_000, "completion_tokens": 2_000_000},
    {"model": "squares", "image": 0.5},
]


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context(
        environment=ENVIRONMENT,
        auth={"required": True},
        limits={"rates": None},
        pipelines=[{"name": "video-generation"}],
        usage={"currency": "EUR", "prices": PRICES},
    )


@pytest.fixture
async def caller(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        client.headers["Authorization"] = "Bearer sk-caller"
        yield client
        await context.access.credentials.finish()


async def usage(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get(URL, params=query, headers=BOSS)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def used(client: httpx.AsyncClient, model: str) -> dict[str, Any]:
    """What of the whole use of a model is not nothing."""
    totals = (await usage(client, model=model))["totals"]
    assert totals.keys() == NONE.keys()
    return {name: amount for name, amount in totals.items() if amount and name != "cost"}


async def say(client: httpx.AsyncClient, text: str, **fields: Any) -> httpx.Response:
    body = {"model": "parrot", "messages": [{"role": "user", "content": text}]} | fields
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code in (200, 202), answer.text
    return answer


async def test_every_key_of_the_answer(caller: httpx.AsyncClient) -> None:
    await say(caller, "one two three")
    await say(caller, "four")
    found = await usage(caller)
    (line,) = found["data"]
    day = line.pop("day")
    assert line == NONE | {
        "token": 1,
        "token_name": "API_TOKENS",
        "user": "api",
        "model": "echo",
        "provider": "",
        "requests": 2,
        "prompt_tokens": 4,
        "completion_tokens": 4,
        "cost": 12.0,
    }
    assert len(day) == 10
    assert {name: found[name] for name in found.keys() - {"data", "totals"}} == {
        "currency": "EUR",
        "group_by": ["day", "token", "user", "model", "provider"],
        "total": 1,
        "limit": 100,
        "offset": 0,
    }
    assert found["totals"]["cost"] == 12.0


async def test_a_streamed_answer_counts_with_and_without_its_usage_chunk(
    caller: httpx.AsyncClient,
) -> None:
    await say(caller, "one two", stream=True)
    await say(caller, "one two", stream=True, stream_options={"include_usage": True})
    assert await used(caller, "echo") == {
        "requests": 2,
        "prompt_tokens": 4,
        "completion_tokens": 4,
    }


async def test_reasoning_is_counted_apart(caller: httpx.AsyncClient) -> None:
    body = (await say(caller, "one two", enable_thinking=True)).json()
    reasoning = body["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert await used(caller, "echo") == {
        "requests": 1,
        "prompt_tokens": 2,
        "completion_tokens": 2 + reasoning,
        "reasoning_tokens": reasoning,
    }


async def test_a_chat_that_is_a_job_counts_once(caller: httpx.AsyncClient) -> None:
    job = (await say(caller, "one two three", **{"async": True})).json()
    await ended(caller, job["id"])
    again = await caller.get(f"/v1/jobs/{job['id']}")
    assert again.json()["result"]["usage"]["total_tokens"] == 6
    assert await used(caller, "echo") == {
        "requests": 1,
        "prompt_tokens": 3,
        "completion_tokens": 3,
    }
    assert (await usage(caller, token=1))["total"] == 1


async def ended(client: httpx.AsyncClient, job_id: str) -> None:
    await client.get(f"/v1/jobs/{job_id}/events")


async def test_embeddings_and_rerank_count_what_they_read(caller: httpx.AsyncClient) -> None:
    await caller.post("/v1/embeddings", json={"model": "digest", "input": ["a b", "c"]})
    body = {"model": "overlap", "query": "a", "documents": ["a b", "c"]}
    await caller.post("/v1/rerank", json=body)
    assert await used(caller, "digest") == {"requests": 1, "prompt_tokens": 3}
    assert await used(caller, "overlap") == {"requests": 1, "prompt_tokens": 5}


async def test_images_count_as_many_as_were_made(caller: httpx.AsyncClient) -> None:
    body = {"prompt": "a boat", "n": 3, "size": "64x64", "model": "squares"}
    answer = await caller.post("/v1/images/generations", json=body)
    assert len(answer.json()["data"]) == 3
    assert await used(caller, "squares") == {"requests": 1, "images": 3}
    assert (await usage(caller, model="squares"))["totals"]["cost"] == 1.5


@pytest.mark.parametrize("form", ["mp3", "wav"])
async def test_speech_counts_its_seconds(caller: httpx.AsyncClient, form: str) -> None:
    body = {"model": "hum", "input": "x" * 30, "response_format": form}
    answer = await caller.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    assert await used(caller, "hum") == {"requests": 1, "audio_seconds": 1.5}


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_transcription_counts_what_was_heard(caller: httpx.AsyncClient, stream: str) -> None:
    answer = await caller.post(
        "/v1/audio/transcriptions",
        data={"model": "whisper-1", "stream": stream},
        files={"file": ("a.wav", WAV)},
    )
    assert answer.status_code == 200, answer.text
    assert await used(caller, "whisper-base") == {"requests": 1, "audio_seconds": 3.0}


async def test_a_video_counts_its_seconds(caller: httpx.AsyncClient) -> None:
    body = {"prompt": "a red boat", "width": 64, "height": 48, "num_frames": 9, "fps": 4}
    answer = await caller.post("/v1/video/generations", json=body)
    assert answer.status_code == 200, answer.text
    assert await used(caller, "lights") == {"requests": 1, "video_seconds": 2.25}


async def test_lines_are_filtered_and_summed(caller: httpx.AsyncClient) -> None:
    await say(caller, "one")
    caller.headers["Authorization"] = "Bearer sk-boss"
    await say(caller, "one two")
    await caller.post("/v1/embeddings", json={"model": "digest", "input": "a b c"})
    found = await usage(caller, group_by="model")
    assert [(line["model"], line["prompt_tokens"]) for line in found["data"]] == [
        ("digest", 3),
        ("echo", 3),
    ]
    assert found["data"][0].keys() == {"model"} | NONE.keys()
    assert found["totals"]["prompt_tokens"] == 6
    page = await usage(caller, group_by="token,model", limit=1, offset=1)
    assert (page["total"], len(page["data"])) == (3, 1)
    assert page["totals"]["prompt_tokens"] == 6
    month = (await usage(caller, group_by="month"))["data"][0]["month"]
    for query, tokens in (
        ({"token": 1}, 1),
        ({"token": 2}, 5),
        ({"model": "digest"}, 3),
        ({"provider": ""}, 6),
        ({"provider": "openai"}, 0),
        ({"user": "api"}, 6),
        ({"user": "nobody"}, 0),
        ({"from": f"{month}-01"}, 6),
        ({"to": "2020-01-31"}, 0),
        ({"from": "2199-01-01"}, 0),
    ):
        assert (await usage(caller, **query))["totals"]["prompt_tokens"] == tokens, query


@pytest.mark.parametrize("asks", ["by header", "by parameter"])
async def test_csv(caller: httpx.AsyncClient, asks: str) -> None:
    await say(caller, "one two")
    header = {"Accept": "text/csv"} if asks == "by header" else {}
    query = {} if asks == "by header" else {"format": "csv"}
    answer = await caller.get(URL, params=query, headers=BOSS | header)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "usage.csv" in answer.headers["content-disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(lines) == 1
    assert lines[0].pop("day")
    assert lines[0] == {name: str(amount) for name, amount in NONE.items()} | {
        "token": "1",
        "token_name": "API_TOKENS",
        "user": "api",
        "model": "echo",
        "provider": "",
        "requests": "1",
        "prompt_tokens": "2",
        "completion_tokens": "2",
        "cost": "6.0",
    }


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("token=x", "token"),
        ("token=-1", "token"),
        ("group_by=colour", "group_by"),
        ("group_by=", "group_by"),
        ("limit=0", "limit"),
        ("limit=100001", "limit"),
        ("offset=-1", "offset"),
        ("format=xml", "format"),
    ],
)
async def test_bad_filters(caller: httpx.AsyncClient, query: str, param: str) -> None:
    answer = await caller.get(f"{URL}?{query}", headers=BOSS)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


async def test_it_is_for_admins(caller: httpx.AsyncClient) -> None:
    assert (await caller.get(URL)).status_code == 403
    assert (await caller.get(URL, headers={"Authorization": ""})).status_code == 401


async def test_what_fails_and_what_uses_no_model_counts_nothing(caller: httpx.AsyncClient) -> None:
    await caller.post("/v1/chat/completions", json={"model": "none", "messages": []})
    await caller.post("/v1/images/generations", json={"model": "none", "prompt": "x"})
    await caller.get("/v1/models")
    assert (await usage(caller))["total"] == 0


async def test_counting_goes_on_while_nothing_is_observed(
    caller: httpx.AsyncClient, context: Context
) -> None:
    for key in ("metrics", "access_log", "payload"):
        context.observability.switches[key] = False
    await say(caller, "one two")
    assert (await used(caller, "echo"))["prompt_tokens"] == 2


async def test_prometheus_counts_by_model_and_provider_without_callers(
    caller: httpx.AsyncClient, context: Context
) -> None:
    await say(caller, "one two", enable_thinking=True)
    body = {"prompt": "a boat", "n": 2, "size": "64x64"}
    await caller.post("/v1/images/generations", json=body)
    context.meter.add(1, "api", "openai/gpt-4o", None, Amounts(requests=1, prompt_tokens=9))
    text = (await caller.get("/metrics", headers=BOSS)).text
    lines = {line for line in text.splitlines() if line.startswith("polyphony_used_")}
    reasoning = lines & {
        line for line in lines if 'kind="reasoning"' in line and 'model="echo"' in line
    }
    assert len(reasoning) == 1
    for line in (
        'polyphony_used_tokens_total{kind="prompt",model="echo",provider=""} 2.0',
        'polyphony_used_tokens_total{kind="prompt",model="openai/gpt-4o",provider="openai"} 9.0',
        'polyphony_used_requests_total{model="squares",provider=""} 1.0',
        'polyphony_used_images_total{model="squares",provider=""} 2.0',
        'polyphony_used_cost_total{model="squares",provider=""} 1.0',
    ):
        assert line in lines
    assert "sk-" not in text
    assert 'user="' not in text


def test_the_number_of_series_is_bounded() -> None:
    used = {(f"p/m{number:04}", "p"): Amounts(requests=1) for number in range(1500)}
    shown = bounded(used)
    assert len(shown) == 1001
    assert shown["other", ""].requests == 500


class Stalled:
    """Says three words and waits for ever."""

    def __init__(self) -> None:
        self.has_spoken = asyncio.Event()

    async def chat(self, _request: Chat) -> AsyncIterator[ChatEvent]:
        for word in ("one", " two", " three"):
            yield ChatDelta(text=word)
        self.has_spoken.set()
        await asyncio.Event().wait()

    async def speak(self, _request: Speak) -> AsyncIterator[SpeechEvent]:
        yield AudioChunk(data=bytes(96_000))
        self.has_spoken.set()
        await asyncio.Event().wait()

    async def voices(self, _request: ListVoices) -> Voices:
        return Voices(voices=())


async def leave_early(context: Context, path: str, body: dict[str, Any], model: Stalled) -> None:
    """Ask, and be gone when the model has said all that it will."""
    messages = [{"type": "http.request", "body": json.dumps(body).encode()}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await model.has_spoken.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        pass

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {
        **{"type": "http", "method": "POST", "path": path, "headers": headers},
        **{"query_string": b"", "asgi": {"version": "3.0"}, "http_version": "1.1"},
        **{"scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)},
    }
    await create_app(context)(scope, receive, send)


async def test_a_stream_that_is_cut_off_counts_what_was_said(make_context: MakeContext) -> None:
    """Nobody has counted the prompt: about four characters are a token."""
    model = Stalled()
    context = make_context(environment=ENVIRONMENT, runs={"chat": model})
    said = [{"role": "user", "content": "x" * 41}]
    body = {"model": "echo", "stream": True, "messages": said}
    await leave_early(context, "/v1/chat/completions", body, model)
    async with client_of(context) as client:
        assert await used(client, "echo") == {
            "requests": 1,
            "prompt_tokens": 11,
            "completion_tokens": 3,
        }
        assert (await usage(client))["data"][0]["user"] == "anonymous"


async def test_speech_that_is_cut_off_counts_by_its_bytes(make_context: MakeContext) -> None:
    model = Stalled()
    context = make_context(environment=ENVIRONMENT, runs={"speech": model})
    body = {"model": "hum", "input": "x", "response_format": "pcm"}
    await leave_early(context, "/v1/audio/speech", body, model)
    async with client_of(context) as client:
        assert await used(client, "hum") == {"requests": 1, "audio_seconds": 2.0}


async def test_a_voice_whose_recording_is_transcribed_is_charged(
    caller: httpx.AsyncClient,
) -> None:
    files = {"audio": ("a.wav", WAV)}
    answer = await caller.post("/v1/audio/voices", data={"name": "ann"}, files=files)
    assert answer.status_code == 200, answer.text
    assert await used(caller, "whisper-base") == {"requests": 1, "audio_seconds": 3.0}
