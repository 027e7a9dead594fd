"""LLM for Unity, whose two versions take streams apart in ways of their own."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Message, Scope

from serve_app.api.app import create_app
from serve_app.core.errors import Unavailable
from serve_app.core.text.chat import ChatDelta, ChatEvent, TokenLogprob, Usage
from tests.api.conftest import MakeContext, client_of

READ_BYTES = 4096
"""What version 3 reads at once."""
PROMPT = "one two three"
VERSION_2: dict[str, Any] = {
    "prompt": PROMPT,
    "id_slot": -1,
    "temperature": 0.20000000298023224,
    "top_k": 40,
    "top_p": 0.8999999761581421,
    "min_p": 0.05000000074505806,
    "n_predict": 256,
    "n_keep": 0,
    "stream": True,
    "stop": ["<|im_end|>", "user:"],
    "typical_p": 1.0,
    "repeat_penalty": 1.100000023841858,
    "repeat_last_n": 64,
    "penalize_nl": True,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "penalty_prompt": "",
    "mirostat": 0,
    "mirostat_tau": 5.0,
    "mirostat_eta": 0.10000000149011612,
    "grammar": "",
    "json_schema": "",
    "seed": 0,
    "ignore_eos": False,
    "logit_bias": None,
    "n_probs": 0,
    "cache_prompt": True,
    "messages": [],
}
"""All that its form has."""
VERSION_3: dict[str, Any] = {
    "prompt": PROMPT,
    "id_slot": -1,
    "n_predict": -1,
    "stream": True,
    "cache_prompt": True,
    "temperature": 0.2,
    "seed": 0,
}


class Saying:
    """A text model that says these texts, or breaks off."""

    def __init__(self, *texts: str, error: Exception | None = None) -> None:
        self.texts = texts
        self.error = error
        self.asked: list[Any] = []

    async def complete(self, request: Any) -> AsyncIterator[ChatEvent]:
        self.asked.append(request)
        top = tuple(
            TokenLogprob(token="\n\u0001" * 30, token_id=k, logprob=-1.0 - k) for k in range(20)
        )
        for text in self.texts:
            probability = TokenLogprob(token=text[:20], token_id=1, logprob=-0.5, top=top)
            has_any = request.sampling.logprobs is not None
            yield ChatDelta(text=text, logprobs=(probability,) if has_any else ())
        if self.error is not None:
            raise self.error
        stop_word = next(iter(request.sampling.stop), None)
        yield ChatDelta(finish_reason="stop", stop_word=stop_word)
        yield Usage(prompt_tokens=7, completion_tokens=len(self.texts))


async def writes_of(context: Any, body: dict[str, Any]) -> list[bytes]:
    """What the app writes, write by write: each is a chunk on the wire."""
    app = create_app(context)
    content = json.dumps(body).encode()
    written: list[bytes] = []
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/completion",
        "raw_path": b"/completion",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    waiting = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        elif message.get("body"):
            written.append(message["body"])

    await app(scope, receive, send)
    return written


def read_by_version_2(text: str) -> dict[str, Any]:
    """LLM for Unity 2's `ConvertContent`: the pieces between `data: ` as one array."""
    parts = [part for part in text.strip().replace("\n\n", "").split("data: ") if part]
    found: dict[str, Any] = json.loads('{"data": [' + ",\n".join(parts) + "]}")
    return found


def read_by_version_3(writes: list[bytes]) -> list[dict[str, Any]]:
    """LLM for Unity 3 takes each piece that it reads for one event."""
    events = []
    for write in writes:
        assert len(write) <= READ_BYTES
        text = write.decode()
        assert text.startswith("data: ")
        events.append(json.loads(text.removeprefix("data: ")))
    return events


@pytest.mark.covers("Velesio: LLM for Unity, version 2")
async def test_version_2_reads_a_stream(client: httpx.AsyncClient) -> None:
    answer = await client.post("/completion", json=VERSION_2)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    frames = read_by_version_2(answer.text)["data"]
    assert "".join(frame["content"] for frame in frames) == PROMPT
    *others, last = frames
    for frame in others:
        assert frame.items() >= {"index": 0, "tokens": [], "stop": False, "id_slot": -1}.items()
    assert last["stop"] is True
    assert (last["content"], last["stop_type"]) == ("", "eos")
    assert (last["tokens_predicted"], last["tokens_evaluated"]) == (3, 3)
    assert "timings" in last
    assert "[DONE]" not in answer.text
    assert "event:" not in answer.text


@pytest.mark.covers("Velesio: LLM for Unity, version 2")
async def test_version_2_reads_what_has_come_so_far(make_context: MakeContext) -> None:
    model = Saying("data: ", '{"data: "', "\ndata: \n", "data:", " x")
    writes = await writes_of(make_context(runs={"chat": model}), VERSION_2)
    for number in range(1, len(writes) + 1):
        frames = read_by_version_2(b"".join(writes[:number]).decode())["data"]
        assert len(frames) == number
    said = "".join(frame["content"] for frame in frames)
    assert said == 'data: {"data: "\ndata: \ndata: x'


@pytest.mark.covers("Velesio: LLM for Unity, version 3")
@pytest.mark.parametrize(
    "text",
    ["a" * 20_000, "\u0001" * 5_000, "🙂" * 3_000, "data: " * 2_000, "世" * 1_000 + "\n" * 999],
)
async def test_version_3_reads_each_write(make_context: MakeContext, text: str) -> None:
    model = Saying(text, " end")
    for more in ({}, {"n_probs": 20}):
        context = make_context(runs={"chat": model})
        writes = await writes_of(context, VERSION_3 | {"stop": ["\u0001" * 1000]} | more)
        assert max(map(len, writes)) <= 4000
        events = read_by_version_3(writes)
        assert "".join(event["content"] for event in events) == f"{text} end"
        assert [event["stop"] for event in events[-2:]] == [False, True]
        assert events[-1]["stop_type"] == "word"
        has_any = any("completion_probabilities" in event for event in events)
        assert has_any == bool(more)


async def test_a_failure_is_one_frame_with_the_status(make_context: MakeContext) -> None:
    model = Saying("one", error=Unavailable("data: gone " + "\u0001🙂" * 2000))
    writes = await writes_of(make_context(runs={"chat": model}), VERSION_3)
    assert max(map(len, writes)) <= 4000
    first, last = read_by_version_3(writes)
    assert first["content"] == "one"
    assert last["error"]["code"] == 503
    assert last["error"]["type"] == "backend_unavailable"
    assert b"data: " not in writes[-1].removeprefix(b"data: ")


@pytest.mark.covers("Velesio: LLM for Unity, version 3")
async def test_one_chat_of_version_3(client: httpx.AsyncClient) -> None:
    assert (await client.post("/health", content=b"")).json()["status"] == "healthy"
    props = (await client.post("/props", content=b"")).json()
    assert props["default_generation_settings"]["n_ctx"] == 4096
    assert isinstance(props["chat_template"], str)
    assert props["total_slots"] >= 1
    turns = {"messages": [{"role": "user", "content": "hello there"}]}
    prompt = (await client.post("/apply-template", json=turns)).json()["prompt"]
    assert "hello there" in prompt
    tokens = (await client.post("/tokenize", json={"content": prompt})).json()["tokens"]
    assert len(tokens) <= props["default_generation_settings"]["n_ctx"]
    answer = await client.post("/completion", json=VERSION_3 | {"prompt": prompt})
    events = [json.loads(part[6:]) for part in answer.text.split("\n\n") if part]
    assert "".join(event["content"] for event in events) == prompt.rstrip()


async def test_the_defaults_of_llama(make_context: MakeContext) -> None:
    model = Saying("a")
    async with client_of(make_context(runs={"chat": model})) as client:
        for mark in ({"n_keep": 0}, {"id_slot": 1}, {"cache_prompt": False}, {"n_predict": -1}):
            await client.post("/completion", json={"prompt": ""} | mark)
        await client.post("/completion", json={"prompt": "a", "n_predict": 0, "top_k": -1})
        await client.post("/completion", json={"prompt": "a", "n_keep": None, "n_predict": 5})
    *first, nothing, five = [asked.sampling for asked in model.asked]
    for sampling in first:
        assert (sampling.temperature, sampling.top_p, sampling.min_p) == (0.8, 0.95, 0.05)
        assert (sampling.max_tokens, sampling.top_k) == (None, 40)
    assert (nothing.max_tokens, nothing.top_k, five.max_tokens) == (0, 0, 5)


async def test_only_the_prompt_is_read(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/completion", json={"prompt": PROMPT, "n_predict": 0})).json()
    assert (answer["content"], answer["tokens_predicted"]) == ("", 0)
    assert (answer["tokens_evaluated"], answer["stop_type"]) == (3, "limit")


async def test_several_prompts_are_answered_with_an_array(client: httpx.AsyncClient) -> None:
    body = {"prompt": ["one two", [1, 2, 3]], "n_predict": 9}
    answers = (await client.post("/completion", json=body)).json()
    assert [answer["content"] for answer in answers] == ["one two", "<1> <2> <3>"]
    assert [answer["index"] for answer in answers] == [0, 1]
    assert [answer["tokens_predicted"] for answer in answers] == [2, 3]
    frames = read_by_version_2(
        (await client.post("/completion", json=body | {"stream": True})).text
    )
    ends = [frame for frame in frames["data"] if frame["stop"]]
    assert [(end["index"], end["tokens_predicted"]) for end in ends] == [(0, 2), (1, 3)]
    said = [frame["content"] for frame in frames["data"] if frame["index"] == 1]
    assert "".join(said) == "<1> <2> <3>"


async def test_the_probabilities_of_a_whole_answer(client: httpx.AsyncClient) -> None:
    body = {"prompt": "one two", "n_predict": 2, "n_probs": 2}
    found = (await client.post("/completion", json=body)).json()["completion_probabilities"]
    assert [item["token"] for item in found] == ["one", " two"]
    assert {len(item["top_logprobs"]) for item in found} == {2}
    assert found[0].keys() == {"id", "token", "bytes", "logprob", "top_logprobs"}


async def test_a_bad_token_is_401(make_context: MakeContext) -> None:
    context = make_context(auth={"required": True}, environment={"API_TOKENS": "sk-one"})
    async with client_of(context) as client:
        for path in ("/completion", "/props", "/tokenize", "/template", "/slots"):
            answer = await client.post(path, json={}, headers={"Authorization": "Bearer no"})
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "unauthorized"
