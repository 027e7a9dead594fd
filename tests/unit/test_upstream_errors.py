"""The refusals of every vendor in the error tree."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from serve_app.core.errors import (
    AppError,
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    PayloadTooLarge,
    TimedOut,
    Unavailable,
    UpstreamError,
)
from serve_app.core.upstreams.exchange import UpstreamRefused
from serve_app.core.upstreams.upstream_errors import refusal_error, retry_after_s, said_in
from tests.providers import FIRST

OPENAI = {"error": {"message": "bad tool", "type": "x", "param": "tools[0].name", "code": None}}
SHAPES = [
    OPENAI,
    {"type": "error", "error": {"type": "invalid_request_error", "message": "bad tool"}},
    [{"error": {"code": 400, "message": "bad tool", "status": "INVALID_ARGUMENT"}}],
    {"error": {"code": 400, "message": "bad tool", "status": "INVALID_ARGUMENT"}},
    {"message": "bad tool"},
    {"__type": "ValidationException", "Message": "bad tool"},
    {"error": "bad tool"},
    {"detail": "bad tool"},
    {"error": {"code": 400, "metadata": {"raw": "bad tool"}}},
]


def error(
    status: int, content: Any = OPENAI, fields: tuple[str, ...] = ("tools",), **headers: str
) -> AppError:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    refused = UpstreamRefused(status, headers, body)
    return refusal_error(
        refused, provider="mine", model="gpt", fields=fields, secrets=[SecretStr(FIRST)]
    )


@pytest.mark.parametrize("content", [*SHAPES, b"bad tool\n"])
def test_the_message_of_every_shape(content: Any) -> None:
    found = error(400, content)
    assert isinstance(found, InvalidRequest)
    assert (found.message, found.provider) == ("bad tool", "mine")


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b"null", b"\xff", b"[" * 9000, b'{"error": 3}']
)
def test_bodies_that_say_nothing(content: bytes) -> None:
    assert said_in(content).code == ""
    assert isinstance(error(500, content), UpstreamError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (307, UpstreamError),
        *((status, UpstreamError) for status in (401, 402, 403, 405, 409, 500, 502)),
        *((status, InvalidRequest) for status in (400, 422)),
        (404, ModelNotFound),
        (413, PayloadTooLarge),
        (408, TimedOut),
        (504, TimedOut),
        *((status, Unavailable) for status in (429, 503, 529)),
    ],
)
def test_statuses(status: int, kind: type[AppError]) -> None:
    found = error(status)
    assert type(found) is kind
    assert found.provider == "mine"


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 8192 tokens",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (9) exceeds the maximum number of tokens allowed",
        "Input is too long for requested model.",
        "the request exceeds the available context size",
    ],
)
def test_a_prompt_that_is_too_long(text: str) -> None:
    assert type(error(400, {"message": text})) is ContextLengthExceeded


def test_only_fields_of_the_operation_are_named() -> None:
    assert error(400).param == "tools[0].name"
    assert error(400, fields=("messages",)).param is None


def test_waiting() -> None:
    assert error(429, **{"retry-after": "7"}).retry_after_s == 7
    assert error(529).retry_after_s == 5
    assert retry_after_s({"retry-after": "999999"}, now=0) == 3600
    assert retry_after_s({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=50) == 10
    assert retry_after_s({"retry-after-ms": "1500"}, now=0) == 1.5
    for nonsense in ("", "soon", "nan", "-3", "1e999"):
        found = retry_after_s({"retry-after": nonsense}, now=0)
        assert found is None or 0 <= found <= 3600


@pytest.mark.parametrize(
    "key", [FIRST, "sk-proj-abcdef****************wxyz", "AIzaSyA1234567890abc"]
)
def test_keys_are_not_repeated(key: str) -> None:
    found = error(401, {"error": {"message": f"Incorrect API key provided: {key}. See the page."}})
    assert key not in found.message
    assert "Incorrect API key provided: …" in found.message
