"""Every failure of the contract as it looks on the wire."""

import errno
import json
from collections import Counter
from collections.abc import AsyncGenerator
from itertools import product
from typing import Any

import httpx
import openai
import pytest
from starlette.routing import Route

from serve_app.api.app import create_app
from serve_app.core import errors
from serve_app.core.errors import AppError
from serve_app.core.text.chat import Chat, ChatEvent
from tests.api.conftest import MakeContext, client_of
from tests.error_contract import CONTRACT
from tests.images import png

ECHO = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
COMPLETE = {"model": "echo", "prompt": "hello"}
JSON = {"Content-Type": "application/json"}
KEYS = {"message", "type", "code", "param", "kind", "provider"}


class Failing:
    """A text model that fails before its first word."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        raise self._error
        yield

    complete = chat


async def answer_to(
    make_context: MakeContext, error: Exception, *, path: str = "/v1/completions", **extra: Any
) -> httpx.Response:
    body = (ECHO if "chat" in path else COMPLETE) | extra
    async with client_of(make_context(runs={"chat": Failing(error)})) as client:
        return await client.post(path, json=body)


@pytest.mark.parametrize("name", CONTRACT)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.covers("aistack: errors with kind, provider and message")
async def test_every_status_code_type_and_kind(
    make_context: MakeContext, name: str, stream: bool
) -> None:
    error: AppError = getattr(errors, name)("it is so", param="prompt", provider="echo")
    answer = await answer_to(make_context, error, stream=stream)
    status, code, kind_of_error, kind = CONTRACT[name]
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "error": {
            "message": "it is so",
            "type": kind_of_error,
            "code": code,
            "param": "prompt",
            "kind": kind,
            "provider": "echo",
        }
    }


async def test_unused_keys_are_null_and_the_server_names_itself(make_context: MakeContext) -> None:
    answer = await answer_to(make_context, errors.InvalidRequest("no"))
    assert answer.json()["error"].keys() == KEYS
    assert answer.json()["error"]["param"] is None
    assert answer.json()["error"]["provider"] == "polyphony"


async def test_a_full_disk_is_told(make_context: MakeContext) -> None:
    answer = await answer_to(make_context, OSError(errno.ENOSPC, "no room", "/srv/secret"))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"
    assert "a disk of the server is full" in answer.json()["error"]["message"]
    assert "/srv" not in answer.text


async def test_an_unforeseen_error_tells_nothing_of_the_server(make_context: MakeContext) -> None:
    answer = await answer_to(make_context, RuntimeError("/srv/secret.py line 3"))
    assert answer.status_code == 500
    assert answer.json()["error"].keys() == KEYS
    assert answer.json()["error"]["code"] == "internal_error"
    assert "x-request-id" in answer.headers
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("error", "retry_after", "should_retry"),
    [
        (errors.RateLimited("m", retry_after_s=12.2), "13", None),
        (errors.QueueFull("m", retry_after_s=0.1), "1", None),
        (errors.QueueFull("m"), "5", None),
        (errors.ModelNotReady("m", retry_after_s=30), "30", None),
        (errors.ModelNotReady("m"), "5", None),
        (errors.BackendUnavailable("m"), None, "false"),
        (errors.BackendUnavailable("m", retry_after_s=2), "2", None),
        (errors.TimedOut("m", job_id="job-1"), None, "false"),
        (errors.TimedOut("m", job_id="job-1", retry_after_s=2), "2", "false"),
        (errors.Unavailable("m"), None, "false"),
        (errors.Unavailable("m", retry_after_s=2), "2", None),
        (errors.InvalidRequest("m"), None, "false"),
        (errors.UnsupportedCapability("m"), None, "false"),
        (errors.ContextLengthExceeded("m"), None, "false"),
        (errors.Unauthenticated("m"), None, "false"),
        (errors.Forbidden("m"), None, "false"),
        (errors.NotFound("m"), None, "false"),
        (errors.ModelNotFound("m"), None, "false"),
        (errors.MethodNotAllowed("m"), None, "false"),
        (errors.Conflict("m"), None, "false"),
        (errors.Conflict("m", retry_after_s=1), "1", None),
        (errors.PayloadTooLarge("m"), None, "false"),
        (errors.UnsupportedMedia("m"), None, "false"),
        (errors.Cancelled("m", job_id="job-1"), None, "false"),
        (errors.InternalError("m"), None, None),
        (errors.InternalError("m", job_id="job-1"), None, "false"),
        (errors.UpstreamError("m"), None, None),
        (errors.UpstreamError("m", job_id="job-1"), None, "false"),
    ],
)
async def test_what_may_be_tried_again_says_when(
    make_context: MakeContext, error: AppError, retry_after: str | None, should_retry: str | None
) -> None:
    answer = await answer_to(make_context, error)
    assert answer.headers.get("retry-after") == retry_after
    assert answer.headers.get("x-should-retry") == should_retry


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/completions", 405), ("POST", "/v1/completions", 400)],
)
async def test_what_the_framework_refuses_is_final_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (status, "false")


async def test_every_refusal_of_every_route_says_that_it_is_final(
    make_context: MakeContext,
) -> None:
    context = make_context(environment={"ADMIN_TOKEN": "sk-boss"}, limits={"rates": None})
    seen: Counter[int] = Counter()
    async with client_of(context) as client:
        stored = await client.post("/v1/files/upload", content=png())
        for route in create_app(context).routes:
            assert isinstance(route, Route)
            names = dict.fromkeys(route.param_convertors, "1")
            path = str(route.url_path_for(route.name, **names))
            for method, key in product((*(route.methods or ()), "PUT"), ("sk-boss", "sk-none")):
                answer = await client.request(method, path, headers={"X-Api-Key": key})
                if answer.status_code >= 400:
                    assert answer.headers["x-should-retry"] == "false", (method, path)
                    seen[answer.status_code] += 1
        answer = await client.get(stored.json()["path"], headers={"Range": "bytes=999999-"})
        assert (answer.status_code, answer.headers["x-should-retry"]) == (416, "false")
    assert set(seen) >= {400, 401, 404, 405}


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (errors.InvalidRequest("m"), 1),
        (errors.Conflict("m"), 1),
        (errors.Unavailable("m"), 1),
        (errors.BackendUnavailable("m"), 1),
        (errors.TimedOut("m", job_id="job-1"), 1),
        (errors.InternalError("m", job_id="job-1"), 1),
        (errors.QueueFull("m", retry_after_s=1), 2),
    ],
)
async def test_the_openai_library_repeats_what_may_pass_and_nothing_else(
    make_context: MakeContext, error: AppError, times: int
) -> None:
    asked: list[httpx.Request] = []

    async def count(request: httpx.Request) -> None:
        asked.append(request)

    async with client_of(make_context(runs={"chat": Failing(error)})) as http:
        http.event_hooks["request"].append(count)
        sdk = openai.AsyncOpenAI(
            base_url="http://127.0.0.1:8000/v1", api_key="x", max_retries=1, http_client=http
        )
        with pytest.raises(openai.APIStatusError) as caught:
            await sdk.completions.create(model="echo", prompt="hello")
    assert caught.value.status_code == error.status
    assert len(asked) == times


async def test_a_timeout_names_the_job_that_runs_on(make_context: MakeContext) -> None:
    answer = await answer_to(make_context, errors.TimedOut("m", job_id="job-1"))
    assert answer.json()["error"]["job_id"] == "job-1"


async def test_only_a_missing_credential_is_answered_with_a_challenge(
    make_context: MakeContext,
) -> None:
    answer = await answer_to(make_context, errors.Unauthenticated("m"))
    assert answer.headers["www-authenticate"] == "Bearer"
    answer = await answer_to(make_context, errors.Forbidden("m"))
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("stream", [False, True])
async def test_chat_errors_also_carry_a_response_status(
    make_context: MakeContext, stream: bool
) -> None:
    error = errors.QueueFull("busy", retry_after_s=1)
    answer = await answer_to(make_context, error, path="/v1/chat/completions", stream=stream)
    assert answer.status_code == 503
    assert answer.json()["error"].keys() == KEYS
    assert answer.json()["responseStatus"] == {"errorCode": "queue_full", "message": "busy"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
async def test_a_body_that_is_no_object_is_400(
    client: httpx.AsyncClient, path: str, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post(path, content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "invalid_request"
    assert ("responseStatus" in answer.json()) == ("chat" in path)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "the body is not valid JSON"),
        (
            '{"prompt": "x", "scheduler": ""}',
            "scheduler: string should have at least 1 character(s)",
        ),
        (
            json.dumps({"prompt": "x", "tag": "x" * 201}),
            "tag: string should have at most 200 characters",
        ),
    ],
)
async def test_what_is_wrong_with_a_body_is_said_plainly(
    client: httpx.AsyncClient, body: str, message: str
) -> None:
    answer = await client.post("/v1/images/generations", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == message


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/v1/responses", "/v1/completions/"])
async def test_an_unknown_route_is_404_in_the_native_shape(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error.keys() == KEYS
    assert (error["code"], error["kind"]) == ("not_found", "malformed")
    assert error["message"] == f"no such route: {method} {path}"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", {"POST"}),
        ("DELETE", "/v1/embeddings", {"POST"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
        ("PUT", "/v1/models/org/eye", {"GET", "HEAD"}),
        ("POST", "/v1/health", {"GET", "HEAD"}),
        ("OPTIONS", "/v1/completions", {"POST"}),
        ("PUT", "/v1/files/x.png", {"DELETE", "GET", "HEAD"}),
        ("PUT", "/v1/files/upload", {"DELETE", "GET", "HEAD", "POST"}),
    ],
)
async def test_a_wrong_method_is_405_and_names_the_right_ones(
    client: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert answer.json()["error"].keys() == KEYS


async def test_messages_are_bounded_and_always_valid_text(make_context: MakeContext) -> None:
    answer = await answer_to(make_context, errors.InvalidRequest("\ud800" + "x" * 10_000))
    message = answer.json()["error"]["message"]
    assert message.startswith("?xxx")
    assert len(message) == 2000
