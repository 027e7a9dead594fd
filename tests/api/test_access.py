"""Who may call what: carriers, scopes, open routes and the rule for the Host."""

import base64
from typing import Any

import httpx
import pytest

from serve_app.api.app import create_app
from tests.api.conftest import MakeContext, client_of

TOKENS = {"API_TOKENS": "sk-one, plain two ", "ADMIN_TOKEN": "sk-boss"}
CHAT = {"messages": [{"role": "user", "content": "hello"}]}


def basic(value: str) -> str:
    return "Basic " + base64.b64encode(value.encode()).decode()


def closed(make_context: MakeContext, **sections: Any) -> httpx.AsyncClient:
    auth = {"required": True}
    return client_of(make_context(auth=auth, environment=TOKENS, **sections))


async def get(client: httpx.AsyncClient, headers: dict[str, str], path: str = "/v1/models") -> int:
    return (await client.get(path, headers=headers)).status_code


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer sk-one"},
        {"Authorization": "bearer   sk-one "},
        {"Authorization": "Bearer plain two"},
        {"Authorization": "Bearer sk-boss"},
        {"X-Api-Key": "sk-one"},
        {"Coder-Session-Token": "sk-one"},
        {"Authorization": basic("anybody:sk-one")},
        {"Authorization": basic(":sk-boss")},
        {"Authorization": "Bearer sk-one", "X-Api-Key": "wrong"},
        {"X-Api-Key": "sk-one", "Coder-Session-Token": "wrong"},
        {"Coder-Session-Token": "sk-one", "Authorization": basic("x:wrong")},
    ],
)
@pytest.mark.covers("CoderAI: Bearer tokens")
async def test_every_carrier_is_taken_and_the_first_decides(
    make_context: MakeContext, headers: dict[str, str]
) -> None:
    async with closed(make_context) as client:
        assert await get(client, headers) == 200
        answer = await client.post("/v1/chat/completions", json=CHAT, headers=headers)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer sk-wrong"},
        {"Authorization": "sk-one"},
        {"Authorization": "Token sk-one"},
        {"Authorization": "Bearer sk-one, plain two"},
        {"X-Api-Key": ""},
        {"Authorization": basic("sk-one")},
        {"Authorization": basic("sk-one:")},
        {"Authorization": "Basic ???"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        {"Authorization": "Bearer wrong", "X-Api-Key": "sk-one"},
        {"X-Api-Key": "wrong", "Coder-Session-Token": "sk-one"},
    ],
)
async def test_without_a_known_token_the_answer_is_401(
    make_context: MakeContext, headers: dict[str, str]
) -> None:
    async with closed(make_context) as client:
        answer = await client.get("/v1/models", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")
    assert error["kind"] == "malformed"
    assert "sk-" not in error["message"]


async def test_tokens_are_never_read_from_the_query(make_context: MakeContext) -> None:
    async with closed(make_context) as client:
        for name in ("token", "api_key", "key", "access_token"):
            assert await get(client, {}, f"/v1/models?{name}=sk-one") == 401


async def test_bytes_that_are_no_text_are_an_unknown_token(make_context: MakeContext) -> None:
    async with closed(make_context) as client:
        for name in (b"Authorization", b"X-Api-Key"):
            answer = await client.get("/v1/models", headers=[(name, b"Bearer \xff\xfe\xed\xa0")])
            assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/admin", "/admin/api/tokens", "/metrics", "/admin/nothing"])
async def test_administration_needs_the_admin_scope(make_context: MakeContext, path: str) -> None:
    async with closed(make_context) as client:
        assert await get(client, {}, path) == 401
        answer = await client.get(path, headers={"X-Api-Key": "sk-one"})
        assert answer.status_code == 403
        error = answer.json()["error"]
        assert (error["code"], error["type"]) == ("insufficient_scope", "permission_error")
        assert error["kind"] == "malformed"
        assert await get(client, {"X-Api-Key": "sk-boss"}, path) not in (401, 403)


async def test_administration_is_never_anonymous(client: httpx.AsyncClient) -> None:
    assert await get(client, {}, "/admin/api/tokens") == 401
    assert await get(client, {"X-Api-Key": "anything"}, "/metrics") == 401
    assert await get(client, {}, "/administrator") == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/v1/health", 200),
        ("/docs", 200),
        ("/redoc", 200),
        ("/openapi.json", 200),
        ("/docs/nothing.png", 404),
    ],
)
async def test_open_routes_do_not_look_at_credentials(
    make_context: MakeContext, path: str, status: int
) -> None:
    async with closed(make_context) as client:
        assert await get(client, {}, path) == status
        assert await get(client, {"Authorization": "Bearer wrong"}, path) == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/audio/transcriptions"),
        ("GET", "/coderai/capabilities"),
        ("GET", "/v1/models"),
        ("GET", "/nothing"),
        ("DELETE", "/v1/models"),
        ("GET", "/v1/health/"),
        ("GET", "/v1/health/../models"),
        ("GET", "/healthz/../v1/models"),
    ],
)
async def test_every_other_route_is_closed_before_anything_else_is_said(
    make_context: MakeContext, method: str, path: str
) -> None:
    async with closed(make_context) as client:
        answer = await client.request(method, path)
    assert answer.status_code == 401, answer.text
    assert ("responseStatus" in answer.json()) == ("chat" in path)


@pytest.mark.covers("aistack: no credential is needed by default on the own machine")
async def test_without_auth_any_token_and_none_are_let_in(client: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer whatever"}, {"X-Api-Key": "x"}):
        assert await get(client, headers) == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:9", "[::1]", "[::1]:8000"]
)
async def test_loopback_names_are_let_in(client: httpx.AsyncClient, host: str) -> None:
    assert await get(client, {"Host": host}) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil:80",
        "0.0.0.0",
        "10.0.0.1",
        "[::2]",
        "",
    ],
)
async def test_other_names_are_refused_while_no_token_is_needed(
    make_context: MakeContext, client: httpx.AsyncClient, host: str
) -> None:
    answer = await client.get("/v1/models", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "host_not_allowed"
    assert answer.json()["error"]["type"] == "permission_error"
    async with closed(make_context) as guarded:
        assert await get(guarded, {"Host": host, "X-Api-Key": "sk-one"}) == 200


@pytest.mark.parametrize(("peer", "status"), [("10.1.2.3", 403), ("127.0.0.7", 200), ("::1", 200)])
async def test_other_machines_are_refused_while_no_token_is_needed(
    make_context: MakeContext, peer: str, status: int
) -> None:
    transport = httpx.ASGITransport(create_app(make_context()), client=(peer, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert await get(client, {}) == status
