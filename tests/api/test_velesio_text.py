"""Velesio's /completion and /chat/completions, in its documented way."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from serve_app.core.errors import BackendUnavailable, ModelNotReady, QueueFull, Unavailable
from serve_app.core.text.chat import ChatDelta, ChatEvent, Complete, Usage
from tests.api.conftest import FAMILIES, MakeContext, client_of

PROMPT = "one two three"
CHAT = {"messages": [{"role": "user", "content": PROMPT}]}
TOKENS = {"API_TOKENS": "sk-velesio"}
BEARER = {"Authorization": "Bearer sk-velesio"}


class Recording:
    """A text model that keeps what it is asked."""

    def __init__(self, error: Exception | None = None, *, after: int = 0) -> None:
        self.asked: list[Any] = []
        self.error = error
        self.after = after

    def chat(self, request: Any) -> AsyncIterator[ChatEvent]:
        return self.said(request)

    def complete(self, request: Any) -> AsyncIterator[ChatEvent]:
        return self.said(request)

    async def said(self, request: Any) -> AsyncIterator[ChatEvent]:
        self.asked.append(request)
        for number in range(self.after):
            yield ChatDelta(text=f" word{number}")
        if self.error is not None:
            raise self.error
        yield ChatDelta(text="said")
        yield ChatDelta(finish_reason="stop")
        yield Usage(prompt_tokens=1, completion_tokens=1)


async def sampled(make_context: MakeContext, path: str, body: dict[str, Any]) -> Any:
    """The operation that reaches the model."""
    model = Recording()
    async with client_of(make_context(runs={"chat": model})) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    (asked,) = model.asked
    return asked


def frames_of(answer: httpx.Response) -> list[Any]:
    """The JSON of every frame; `[DONE]` as it is."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    frames = [part.removeprefix("data: ") for part in answer.text.split("\n\n") if part]
    return [frame if frame == "[DONE]" else json.loads(frame) for frame in frames]


PYTHON_REQUESTS = {
    "User-Agent": "python-requests/2.32.5",
    "Accept-Encoding": "gzip, deflate",
    "Accept": "*/*",
    "Connection": "keep-alive",
}
NODE_FETCH = {
    "User-Agent": "node",
    "Accept": "*/*",
    "Accept-Language": "*",
    "Sec-Fetch-Mode": "cors",
    "Accept-Encoding": "gzip, deflate",
}


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() == {"code", "message", "details"}
    assert all(isinstance(value, str) for value in error.values())
    assert error["code"] == code
    return error


@pytest.mark.covers("Velesio: POST /completion")
@pytest.mark.parametrize("path", ["/completion", "/completions"])
async def test_a_completion_has_the_keys_of_both_families(
    client: httpx.AsyncClient, path: str
) -> None:
    body = {
        "prompt": PROMPT,
        "max_tokens": 2,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "stop": ["\n\n"],
        "stream": False,
    }
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert content["id"].startswith("cmpl-")
    assert content["object"] == "text_completion"
    assert isinstance(content["created"], int)
    assert content["model"] == "echo"
    choice = {"text": "one two", "index": 0, "logprobs": None, "finish_reason": "length"}
    assert content["choices"] == [choice]
    assert content["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    llama = {
        "content": "one two",
        "stop": True,
        "stop_type": "limit",
        "stopping_word": "",
        "tokens_predicted": 2,
        "tokens_evaluated": 3,
        "truncated": False,
        "generation_settings": {},
        "timings": {},
    }
    assert content.items() >= llama.items()
    assert answer.headers["x-job-id"].startswith("job-")
    assert "x-ignored-fields" not in answer.headers


async def test_why_a_completion_ended(client: httpx.AsyncClient) -> None:
    ended = (await client.post("/completion", json={"prompt": PROMPT})).json()
    assert (ended["stop_type"], ended["choices"][0]["finish_reason"]) == ("eos", "stop")
    stopped = (await client.post("/completion", json={"prompt": PROMPT, "stop": " two"})).json()
    assert (stopped["stop_type"], stopped["stopping_word"]) == ("word", " two")
    assert (stopped["content"], stopped["choices"][0]["finish_reason"]) == ("one", "stop")


async def test_several_prompts_are_the_first_dimension_of_the_choices(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/completion", json={"prompt": ["a b", "c d"], "n": 2, "seed": 0})
    choices = answer.json()["choices"]
    assert [choice["text"] for choice in choices] == ["a b", "b a", "c d", "d c"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]


@pytest.mark.covers("Velesio: POST /chat/completions")
async def test_a_conversation_is_answered(client: httpx.AsyncClient) -> None:
    turns = [{"role": "system", "content": "Be brief."}, *CHAT["messages"]]
    body = {"messages": turns, "max_tokens": 150, "temperature": 0.7, "stream": False}
    answer = await client.post("/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert content["id"].startswith("chatcmpl-")
    assert content["object"] == "chat.completion"
    (choice,) = content["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert (choice["message"]["role"], choice["message"]["content"]) == ("assistant", PROMPT)
    assert content["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


@pytest.mark.parametrize(
    ("path", "body"), [("/completion", {"prompt": PROMPT}), ("/chat/completions", CHAT)]
)
async def test_the_documented_defaults(
    make_context: MakeContext, path: str, body: dict[str, Any]
) -> None:
    sampling = (await sampled(make_context, path, body)).sampling
    assert sampling.model_dump(exclude_defaults=True) == {
        "max_tokens": 150,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
    }


async def test_what_was_sent_reaches_the_model(make_context: MakeContext) -> None:
    body = {
        "prompt": PROMPT,
        "top_k": 0,
        "seed": -1,
        "min_p": 0.1,
        "typical_p": 0.5,
        "repeat_penalty": 1.1,
        "repeat_last_n": 32,
        "mirostat": 2,
        "mirostat_tau": 4,
        "mirostat_eta": 0.2,
        "n_probs": 3,
        "ignore_eos": True,
        "samplers": ["top_k", "temperature"],
        "logit_bias": [[5, 1.5], [6, False], ["ab", -2]],
        "json_schema": {"type": "object"},
    }
    asked = await sampled(make_context, "/chat/completions", body | CHAT | {"logit_bias": {}})
    assert asked.response_format.json_schema == {"type": "object"}
    assert asked.sampling.model_dump(exclude_defaults=True) == {
        "max_tokens": 150,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 0,
        "min_p": 0.1,
        "typical_p": 0.5,
        "repeat_penalty": 1.1,
        "repeat_last_n": 32,
        "mirostat": 2,
        "mirostat_tau": 4.0,
        "mirostat_eta": 0.2,
        "logprobs": 3,
        "ignore_eos": True,
        "samplers": ("top_k", "temperature"),
    }


async def test_biases_by_id_by_text_and_forbidden(client: httpx.AsyncClient) -> None:
    for bias in ([[5, 1.5], [6, False], ["ab", -2]], {"5": 1.5, "ab": -2.0, "6": False}):
        answer = await client.post("/completion", json={"prompt": PROMPT, "logit_bias": bias})
        assert answer.status_code == 200, answer.text
    answer = await client.post("/completion", json={"prompt": PROMPT, "logit_bias": [[-1, 2]]})
    refused(answer, 400, "invalid_request")


async def test_what_the_engine_does_not_know_is_named(client: httpx.AsyncClient) -> None:
    body = {
        "prompt": PROMPT,
        "mirostat": 2,
        "grammar": 'root ::= "a"',
        "min_p": 0.1,
        "penalize_nl": True,
        "cache_prompt": True,
        "messages": [1],
        "whatever": 1,
    }
    answer = await client.post("/completion", json=body)
    named = set(answer.headers["x-ignored-fields"].split(","))
    assert named == {"mirostat", "grammar", "penalize_nl", "cache_prompt", "messages", "whatever"}


async def test_what_is_null_or_empty_is_absent(make_context: MakeContext) -> None:
    empty = {
        "model": "",
        "stop": [],
        "grammar": "",
        "json_schema": None,
        "logit_bias": {},
        "samplers": [],
        "messages": [],
        "max_tokens": None,
    }
    asked = await sampled(make_context, "/completion", {"prompt": PROMPT} | empty)
    assert (asked.sampling.max_tokens, asked.sampling.stop) == (150, ())
    assert asked.response_format.type == "text"


@pytest.mark.parametrize("name", [None, "", "completion", "gpt-3.5-turbo", "echo", "Parrot"])
@pytest.mark.parametrize(
    ("path", "body"), [("/completion", {"prompt": PROMPT}), ("/chat/completions", CHAT)]
)
async def test_names_that_mean_the_default_model(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], name: str | None
) -> None:
    answer = await client.post(path, json=body | {"model": name})
    assert answer.json()["model"] == "echo"


@pytest.mark.covers("Velesio: streams, frames and [DONE]")
async def test_a_completion_is_streamed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/completion", json={"prompt": PROMPT, "stream": True})
    *frames, last, done = frames_of(answer)
    assert done == "[DONE]"
    for frame in (*frames, last):
        assert frame.keys() >= {"id", "object", "created", "model", "choices", "content"}
        assert frame["object"] == "text_completion"
        assert frame["content"] == frame["choices"][0]["text"]
        assert frame["choices"][0]["logprobs"] is None
    assert "".join(frame["content"] for frame in frames) == PROMPT
    assert {frame["choices"][0]["finish_reason"] for frame in frames} == {None}
    assert last["choices"][0]["finish_reason"] == "stop"


@pytest.mark.covers("Velesio: streams, frames and [DONE]")
async def test_a_conversation_is_streamed(client: httpx.AsyncClient) -> None:
    body = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    *frames, last, usage, done = frames_of(await client.post("/chat/completions", json=body))
    assert done == "[DONE]"
    assert usage["usage"]["total_tokens"] == 6
    assert frames[0]["choices"][0]["delta"]["role"] == "assistant"
    assert {frame["object"] for frame in frames} == {"chat.completion.chunk"}
    said = [frame["choices"][0]["delta"].get("content", "") for frame in frames]
    assert "".join(said) == PROMPT
    assert last["choices"][0]["finish_reason"] == "stop"


async def test_usage_has_a_frame_of_its_own(client: httpx.AsyncClient) -> None:
    body = {"prompt": PROMPT, "stream": True, "stream_options": {"include_usage": True}}
    frames = frames_of(await client.post("/completion", json=body))
    assert frames[-2]["choices"] == []
    assert frames[-2]["usage"]["completion_tokens"] == 3


@settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    seed=st.integers(0, 2**31),
)
@example(text="Grüße, 世界 🙂 data: x\n\ndata: [DONE]", seed=1)
async def test_every_route_says_the_same(client: httpx.AsyncClient, text: str, seed: int) -> None:
    asked = {"max_tokens": 50, "seed": seed}
    chat = asked | {"messages": [{"role": "user", "content": text}]}
    native = (await client.post("/v1/chat/completions", json=chat)).json()
    expected = native["choices"][0]["message"]["content"]
    own = (await client.post("/chat/completions", json=chat)).json()
    assert own["choices"][0]["message"]["content"] == expected
    assert own["usage"] == native["usage"]
    plain = asked | {"prompt": text}
    whole = (await client.post("/completion", json=plain)).json()
    assert whole["choices"][0]["text"] == whole["content"] == expected
    assert (await client.post("/v1/completions", json=plain)).json()["choices"] == whole["choices"]
    documented = frames_of(await client.post("/completion", json=plain | {"stream": True}))
    assert "".join(frame["content"] for frame in documented[:-1]) == expected
    llama = plain | {"stream": True, "n_predict": 50}
    frames = frames_of(await client.post("/completion", json=llama))
    assert "".join(frame["content"] for frame in frames) == expected


@pytest.mark.covers("Velesio: the error object and its codes")
@pytest.mark.parametrize(
    ("path", "body", "status", "code", "details"),
    [
        ("/completion", {}, 400, "invalid_request", "prompt"),
        ("/completion", {"prompt": ""}, 400, "invalid_request", "prompt"),
        ("/completion", {"prompt": ["a", ""]}, 400, "invalid_request", "prompt"),
        ("/completion", {"prompt": "a", "max_tokens": 0}, 400, "invalid_request", "max_tokens"),
        ("/completion", {"prompt": "a", "temperature": 2.1}, 400, "invalid_request", "temperature"),
        ("/completion", {"prompt": "a", "top_p": 1.5}, 400, "invalid_request", "top_p"),
        ("/completion", {"prompt": "a", "top_k": -1}, 400, "invalid_request", "top_k"),
        (
            "/completion",
            {"prompt": "a", "frequency_penalty": -2.5},
            400,
            "invalid_request",
            "frequency_penalty",
        ),
        ("/completion", {"prompt": "a", "stop": [1]}, 400, "invalid_request", "stop"),
        (
            "/completion",
            {"prompt": "a", "max_tokens": 10**30},
            400,
            "invalid_request",
            "max_tokens",
        ),
        (
            "/completion",
            {"prompt": "a", "json_schema": {"type": "object"}, "grammar": "x"},
            400,
            "invalid_request",
            "grammar",
        ),
        (
            "/completion",
            {"prompt": "a", "json_schema": {"type": "object", "anyOf": [5], "enum": 7}},
            400,
            "invalid_request",
            "json_schema",
        ),
        ("/completion", {"prompt": "a", "json_schema": "{"}, 400, "invalid_request", "json_schema"),
        ("/completion", {"prompt": "a", "model": "no"}, 404, "model_not_found", "model"),
        ("/completion", {"prompt": "a", "model": "squares"}, 400, "invalid_request", "model"),
        ("/chat/completions", {}, 400, "invalid_request", "messages"),
        ("/chat/completions", {"messages": []}, 400, "invalid_request", "messages"),
        ("/chat/completions", CHAT | {"model": "no"}, 404, "model_not_found", "model"),
        (
            "/chat/completions",
            {"messages": [{"role": "wizard", "content": "a"}]},
            400,
            "invalid_request",
            "messages[0].role",
        ),
        (
            "/completion",
            {"prompt": "a " * 5000},
            400,
            "invalid_request",
            "",
        ),
    ],
)
async def test_errors_name_the_field(
    client: httpx.AsyncClient,
    path: str,
    body: dict[str, Any],
    status: int,
    code: str,
    details: str,
) -> None:
    error = refused(await client.post(path, json=body), status, code)
    assert error["details"].startswith(details)
    assert error["message"]


async def test_details_say_what_would_work(client: httpx.AsyncClient) -> None:
    answer = await client.post("/completion", json={"prompt": "a", "model": "no"})
    error = refused(answer, 404, "model_not_found")
    assert error["details"].startswith("model: ")
    assert "'echo'" in error["details"]


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (b"{", "application/json", "invalid_request"),
        (b"[]", "application/json", "invalid_request"),
        (b"null", "application/json", "invalid_request"),
        (b"", "application/json", "invalid_request"),
        (b"\xff\xfe", "application/json", "invalid_request"),
        (b'{"prompt": "a"}', "text/plain", "invalid_request"),
        (b"prompt=a", "application/x-www-form-urlencoded", "invalid_request"),
    ],
)
async def test_a_body_that_is_not_what_its_type_says(
    client: httpx.AsyncClient, content: bytes, kind: str, code: str
) -> None:
    for path in ("/completion", "/chat/completions", "/tokenize", "/embeddings"):
        answer = await client.post(path, content=content, headers={"Content-Type": kind})
        refused(answer, 400, code)


@pytest.mark.covers("Velesio: Bearer tokens, API_TOKENS")
async def test_tokens(make_context: MakeContext) -> None:
    context = make_context(auth={"required": True}, environment=TOKENS)
    async with client_of(context) as client:
        for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer no"}):
            answer = await client.post("/completion", json={"prompt": "a"}, headers=headers)
            refused(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        answer = await client.post("/completion", json={"prompt": "a"}, headers=BEARER)
        assert answer.status_code == 200
        assert (await client.get("/health")).status_code == 200


@pytest.mark.covers("Velesio: Python and JavaScript clients")
@pytest.mark.parametrize("headers", [PYTHON_REQUESTS, NODE_FETCH], ids=["python", "javascript"])
@pytest.mark.parametrize("is_required", [False, True])
async def test_what_the_documented_clients_send(
    make_context: MakeContext, headers: dict[str, str], is_required: bool
) -> None:
    context = make_context(auth={"required": is_required}, environment=TOKENS)
    asked = {"max_tokens": 150, "temperature": 0.7}
    async with client_of(context) as client:
        client.headers = httpx.Headers(headers | BEARER | {"Content-Type": "application/json"})
        text = json.dumps({"prompt": PROMPT, **asked})
        completion = await client.post("/completion", content=text)
        assert completion.json()["choices"][0]["text"] == PROMPT
        text = json.dumps({**CHAT, **asked})
        chat = await client.post("/chat/completions", content=text)
        assert chat.json()["choices"][0]["message"]["content"] == PROMPT
        for path in ("/health", "/models", "/queue/status"):
            assert (await client.get(path)).status_code == 200


async def test_a_credential_that_is_none(make_context: MakeContext) -> None:
    async with client_of(make_context()) as client:
        for value in ("", "Bearer", "Bearer ", "nonsense", "Basic %%%"):
            headers = {"Authorization": value}
            answer = await client.post("/completion", json={"prompt": "a"}, headers=headers)
            assert answer.status_code == 200, value
    context = make_context(auth={"required": True}, environment=TOKENS)
    async with client_of(context) as client:
        headers = {"Authorization": "Bearer ", "X-Api-Key": "sk-velesio"}
        answer = await client.post("/completion", json={"prompt": "a"}, headers=headers)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "code", "header"),
    [
        (QueueFull("full"), 503, "queue_full", "retry-after"),
        (ModelNotReady("loading"), 503, "model_not_ready", "retry-after"),
        (BackendUnavailable("gone"), 503, "backend_unavailable", "x-should-retry"),
        (RuntimeError("secret"), 500, "internal_error", "x-request-id"),
    ],
)
async def test_what_the_engine_raises(
    make_context: MakeContext, error: Exception, status: int, code: str, header: str
) -> None:
    async with client_of(make_context(runs={"chat": Recording(error)})) as client:
        for body in ({"prompt": "a"}, {"prompt": "a", "stream": True}):
            answer = await client.post("/completion", json=body)
            assert "secret" not in refused(answer, status, code)["message"]
            assert header in answer.headers


async def test_a_stream_that_fails_ends_with_the_error(make_context: MakeContext) -> None:
    model = Recording(Unavailable("the model is gone"), after=2)
    async with client_of(make_context(runs={"chat": model})) as client:
        answer = await client.post("/completion", json={"prompt": "a", "stream": True})
    *_, last = frames_of(answer)
    assert last["error"]["code"] == "backend_unavailable"
    assert last["error"].keys() == {"code", "message", "details"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/completion", 405, "method_not_allowed"),
        ("DELETE", "/chat/completions", 405, "method_not_allowed"),
        ("GET", "/completion/nothing", 404, "not_found"),
        ("GET", "/queue", 404, "not_found"),
        ("GET", "/models/nothing", 404, "not_found"),
        ("GET", "/slots", 404, "not_found"),
        ("POST", "/slots", 404, "not_found"),
    ],
)
async def test_routes_that_are_not_there(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    refused(answer, status, code)
    assert ("allow" in answer.headers) == (status == 405)


async def test_a_body_that_is_too_large(make_context: MakeContext) -> None:
    context = make_context(limits={"base64_bytes": 1})
    async with client_of(context) as client:
        content = b'{"prompt": "' + b"a" * 17_000_000 + b'"}'
        kind = {"Content-Type": "application/json"}
        refused(
            await client.post("/completion", content=content, headers=kind),
            413,
            "payload_too_large",
        )


async def test_a_call_that_takes_too_long_goes_on(make_context: MakeContext) -> None:
    slow = [
        family | {"options": family["options"] | {"tokens_per_s": 20}}
        if family["name"] == "chat"
        else family
        for family in FAMILIES
    ]
    context = make_context(families=slow, jobs={"sync_timeout_s": {"velesio": 0.05}})
    async with client_of(context) as client:
        answer = await client.post("/completion", json={"prompt": "a b c d e"})
        error = refused(answer, 504, "timeout")
        assert answer.headers["x-should-retry"] == "false"
        assert error["details"] == answer.headers["x-job-id"]
        job = await ended(client, error["details"])
    assert (job["status"], job["progress"], job["error"]) == ("succeeded", 1.0, None)
    assert job["result"]["content"] == "a b c d e"
    assert job["result_url"] == f"/queue/jobs/{job['id']}"


@pytest.mark.parametrize(
    ("path", "body"), [("/completion", {"prompt": PROMPT}), ("/chat/completions", CHAT)]
)
async def test_text_as_a_job(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    accepted = await client.post(path, json=body | {"async": True, "ref_id": "mine"})
    assert accepted.status_code == 202, accepted.text
    assert accepted.headers["location"] == f"/queue/jobs/{accepted.json()['id']}"
    job = await ended(client, "mine")
    assert job["result"]["choices"][0]["finish_reason"] == "stop"
    waited = await client.post(path, json=body | {"ref_id": "other"})
    assert waited.json()["choices"] == job["result"]["choices"]
    refused(await client.post(path, json=body | {"ref_id": "mine"}), 409, "invalid_request")
    refused(
        await client.post(path, json=body | {"stream": True, "async": True}), 400, "invalid_request"
    )


async def ended(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            job: dict[str, Any] = (await client.get(f"/queue/jobs/{name}")).json()
            if job["status"] not in ("queued", "running"):
                return job
            await asyncio.sleep(0.02)


async def test_a_mixed_prompt_is_one(make_context: MakeContext) -> None:
    asked = await sampled(make_context, "/completion", {"prompt": [12, "text", 5]})
    assert isinstance(asked, Complete)
    assert asked.prompts == ((12, "text", 5),)
    asked = await sampled(make_context, "/completion", {"prompt": [[1, 2], "text"]})
    assert asked.prompts == ((1, 2), "text")
