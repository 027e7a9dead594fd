"""What is raised behind a handle arrives at the client in the shape of the contract."""

import asyncio
import json

import httpx
import pytest

from tests.serve.conftest import MAX_PENDING, said

KEYS = {"message", "type", "code", "param", "kind", "provider"}


def error_of(response: httpx.Response) -> dict[str, object]:
    error: dict[str, object] = response.json()["error"]
    assert set(error) == KEYS
    return error


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/v1/chat/completions", 405, "method_not_allowed"),
        ("GET", "/v1/models/nobody", 404, "model_not_found"),
    ],
)
async def test_routing_errors(
    http: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await http.request(method, path)
    assert response.status_code == status
    assert error_of(response)["code"] == code
    assert len(response.headers.get_list("x-request-id")) == 1


async def test_without_a_token(http: httpx.AsyncClient) -> None:
    response = await http.get("/v1/models", headers={"Authorization": "Bearer wrong"})
    assert response.status_code == 401
    assert error_of(response)["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("inbound", "is_kept"), [("abc-1", True), ("...", False), ("white space", False), (None, False)]
)
async def test_request_ids(http: httpx.AsyncClient, inbound: str | None, is_kept: bool) -> None:
    headers = {} if inbound is None else {"X-Request-ID": inbound}
    response = await http.get("/v1/health", headers=headers)
    (outbound,) = response.headers.get_list("x-request-id")
    if is_kept:
        assert outbound == inbound
    else:
        assert len(outbound) == 16
        assert int(outbound, 16) >= 0


async def sent(base_url: str, *lines: str) -> tuple[int, httpx.Headers, dict[str, object]]:
    """The answer to a request that no client library would send: status, headers, error."""
    url = httpx.URL(base_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write("\r\n".join((*lines, "", "")).encode())
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = httpx.Headers([line.split(": ", 1) for line in head[1:-1]])
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
    finally:
        writer.close()
        await writer.wait_closed()
    error: dict[str, object] = body.get("error", {})
    return int(head[0].split()[1]), headers, error


GET = ("GET /v1/health HTTP/1.1", "Host: localhost")


async def test_long_tokens_and_many_cookies_pass(base_url: str) -> None:
    many = (f"X-Cookie-{number}: {'c' * 80}" for number in range(600))
    status, headers, _ = await sent(base_url, *GET, *many, "X-Request-ID: many")
    assert (status, headers["x-request-id"]) == (200, "many")
    status, _, _ = await sent(base_url, *GET, f"Authorization: Bearer {'j' * 60_000}")
    assert status == 200


@pytest.mark.parametrize(
    "lines",
    [
        (*GET, f"Authorization: Bearer {'j' * 66_000}"),
        (*GET, *(f"X-{number}: x" for number in range(1001))),
        (f"GET /v1/{'p' * 66_000} HTTP/1.1", "Host: localhost"),
    ],
    ids=["long", "many", "address"],
)
async def test_headers_beyond_the_limit_are_refused_in_our_shape(
    base_url: str, lines: tuple[str, ...]
) -> None:
    status, headers, error = await sent(base_url, *lines, "X-Request-ID: large")
    assert status == 431
    assert set(error) == KEYS
    assert (error["code"], error["kind"]) == ("payload_too_large", "overflow")
    assert (headers["x-request-id"], headers["x-should-retry"]) == ("large", "false")


async def test_what_uvicorn_refuses_by_itself_is_refused_in_our_shape(base_url: str) -> None:
    """Its own answer would be plain text."""
    status, headers, error = await sent(base_url, "DANCE /v1/health HTTP/1.1", "Host: localhost")
    assert status == 400
    assert set(error) == KEYS
    assert (error["code"], error["kind"]) == ("invalid_request", "malformed")
    assert headers["x-request-id"]


async def test_an_engine_error_keeps_its_class_message_and_param(http: httpx.AsyncClient) -> None:
    response = await http.post("/v1/chat/completions", json=said("word " * 65))
    assert response.status_code == 400
    error = error_of_chat(response)
    assert error["code"] == "context_length_exceeded"
    assert error["kind"] == "overflow"
    assert error["message"] == "the prompt has 65 tokens, the context 64"


async def test_the_first_item_of_a_stream_decides_its_status(http: httpx.AsyncClient) -> None:
    response = await http.post("/v1/chat/completions", json=said("word " * 65, stream=True))
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert error_of_chat(response)["code"] == "context_length_exceeded"


async def test_an_error_of_a_call_that_answers_once(http: httpx.AsyncClient) -> None:
    response = await http.post(
        "/v1/embeddings", json={"model": "vectors", "input": "x", "dimensions": 65}
    )
    assert response.status_code == 400
    error = error_of(response)
    assert error["param"] == "dimensions"
    assert error["message"] == "65 dimensions are more than the model's 64"


async def test_a_full_queue_is_said_before_anything_is_sent(http: httpx.AsyncClient) -> None:
    """One is answered, some wait, the others are refused; every one ends cleanly."""
    body = said("a b c d e f g h", "narrow", stream=True)
    count = 2 * (1 + 2 * MAX_PENDING) + 6
    answers = await asyncio.gather(
        *(http.post("/v1/chat/completions", json=body) for _ in range(count))
    )
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    assert any(answer.status_code == 200 for answer in answers)
    assert {answer.status_code for answer in answers} == {200, 503}
    for answer in refused:
        assert error_of_chat(answer)["code"] == "queue_full"
        assert int(answer.headers["retry-after"]) >= 1


def error_of_chat(response: httpx.Response) -> dict[str, object]:
    body = response.json()
    assert body["responseStatus"]["message"] == body["error"]["message"]
    return error_of(response)
