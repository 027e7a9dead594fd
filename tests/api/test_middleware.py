"""What holds on every answer: request ids and CORS."""

import re

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of

FRESH = re.compile(r"[0-9a-f]{16}")
ORIGIN = "https://studio.example"
PATHS = ["/v1/models", "/v1/health", "/nothing", "/openapi.json", "/admin"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_sane_request_id_is_kept(client: httpx.AsyncClient, path: str) -> None:
    for given in ("a", "A-b_c:d.e", "x" * 128, "..a", "0", "-"):
        answer = await client.get(path, headers={"X-Request-ID": given})
        assert answer.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("path", PATHS)
async def test_any_other_is_replaced_by_a_fresh_one(client: httpx.AsyncClient, path: str) -> None:
    strange = ("", ".", "...", "a b", "x" * 129, "a/b", "<script>", "a\tb", b"\xc3\xa9", "a,b")
    seen = [(await client.get(path)).headers["x-request-id"]]
    for given in strange:
        answer = await client.get(path, headers={"X-Request-ID": given})
        seen += answer.headers.get_list("x-request-id")
    assert len(set(seen)) == len(seen) == 1 + len(strange)
    assert all(FRESH.fullmatch(value) for value in seen)


async def test_streams_and_failures_have_an_id_too(client: httpx.AsyncClient) -> None:
    headers = {"X-Request-ID": "mine"}
    body = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
    answer = await client.post("/v1/chat/completions", json=body, headers=headers)
    assert answer.headers["x-request-id"] == "mine"
    answer = await client.post("/v1/chat/completions", json={}, headers=headers)
    assert (answer.status_code, answer.headers["x-request-id"]) == (400, "mine")
    answer = await client.get("/v1/models", headers=headers | {"Host": "evil.example"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (403, "mine")


@pytest.fixture
def shared(make_context: MakeContext) -> httpx.AsyncClient:
    """A server that lets one origin in, with a token."""
    return client_of(
        make_context(
            auth={"required": True},
            environment={"API_TOKENS": "sk-one"},
            server={"cors_origins": [ORIGIN]},
        )
    )


async def test_a_preflight_needs_no_token(shared: httpx.AsyncClient) -> None:
    wanted = "authorization, content-type, x-api-key, coder-session-token, x-request-id, prefer"
    async with shared:
        answer = await shared.options(
            "/v1/chat/completions",
            headers={
                "Origin": ORIGIN,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": wanted + ", last-event-id",
                "X-Request-ID": "mine",
            },
        )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["x-request-id"] == "mine"


async def test_every_answer_to_a_known_origin_can_be_read(shared: httpx.AsyncClient) -> None:
    async with shared:
        for headers, status in (({"X-Api-Key": "sk-one"}, 200), ({}, 401)):
            answer = await shared.get("/v1/models", headers=headers | {"Origin": ORIGIN})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
            assert {"x-request-id", "x-job-id", "retry-after", "x-ignored-fields"} <= {*exposed}
            assert {"location", "x-should-retry", "x-ratelimit-remaining"} <= {*exposed}


async def test_other_origins_are_not_let_in(
    shared: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    async with shared:
        answer = await shared.get("/v1/health", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = await shared.options("/v1/embeddings", headers=preflight)
        assert "access-control-allow-origin" not in answer.headers
    answer = await client.get("/v1/health", headers={"Origin": ORIGIN})
    assert "access-control-allow-origin" not in answer.headers
