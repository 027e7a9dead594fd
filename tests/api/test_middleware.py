"""What holds on every answer: request ids, HEAD, types that are not guessed, CORS."""

import re

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from serve_app.api.app import create_app
from tests.api.conftest import MakeContext, client_of
from tests.api.test_jobs import begin, ended, families, job_of
from tests.images import png

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


def served(app: FastAPI, method: str) -> list[str]:
    """Every path that has a route of the method, with a name for each of its variables."""
    routes = [route for route in app.routes if isinstance(route, Route)]
    paths = {route.path for route in routes if method in (route.methods or ())}
    return sorted(re.sub(r"\{[^}]*\}", "x", path) for path in paths)


VARYING = frozenset({"x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset", "set-cookie"})


async def test_head_is_served_wherever_get_is(make_context: MakeContext) -> None:
    context = make_context(environment={"ADMIN_TOKEN": "sk-admin"}, limits={"rates": None})
    auth = {"Authorization": "Bearer sk-admin"}
    app = create_app(context)
    paths = served(app, "GET")
    assert {"/docs", "/redoc", "/openapi.json", "/v1/models", "/v1/jobs/x/events"} <= {*paths}
    async with client_of(context) as client:
        for path in (*paths, "/v1/models/echo", "/nothing"):
            # The metrics count this very request.
            varying = VARYING | ({"content-length"} if "metrics" in path else set())
            get = await client.get(path, headers=auth)
            head = await client.head(path, headers=auth)
            assert (head.status_code, head.content) == (get.status_code, b""), path
            for name in {*get.headers, *head.headers} - varying:
                assert head.headers.get(name) == get.headers.get(name), (path, name)


@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_head_of_a_stream_ends_with_its_headers(
    make_context: MakeContext, version: str
) -> None:
    app = create_app(make_context(families=families(delay_s=30)))

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        """Starlette ends streams in two ways, by what the server says it can do."""
        await app(scope | {"asgi": {"version": "3.0", "spec_version": version}}, receive, send)

    transport = httpx.ASGITransport(server)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        job = await begin(client)
        head = await client.head(f"{job['url']}/events")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("text/event-stream")
        assert (await job_of(client, job["id"]))["status"] == "running"
        await client.post(f"{job['url']}/cancel")
        await ended(client, job["id"])


async def test_head_of_what_is_only_posted(client: httpx.AsyncClient) -> None:
    for path in ("/v1/embeddings", "/v1/chat/completions", "/v1/jobs/x/cancel"):
        answer = await client.head(path)
        assert (answer.status_code, answer.content) == (405, b"")
        assert answer.headers["allow"] == "POST"
    answer = await client.delete("/v1/models")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_head_is_refused_as_get_is(make_context: MakeContext) -> None:
    context = make_context(auth={"required": True}, environment={"API_TOKENS": "sk-one"})
    async with client_of(context) as client:
        for path in ("/v1/models", "/admin/api/tokens", "/metrics", "/nothing"):
            answer = await client.head(path)
            assert (answer.status_code, answer.content) == (401, b""), path
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_no_answer_lets_browsers_guess_its_type(client: httpx.AsyncClient) -> None:
    for path in (*PATHS, "/docs", "/redoc", "/login", "/v1/files/x", "/metrics"):
        answer = await client.get(path)
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"], path


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


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("x-stainless-os", 200),
        ("authorization, content-type, x-stainless-retry-count,X-Stainless-Of-Tomorrow", 200),
        ("authorization, idempotency-key, x-stainless-lang", 200),
        ("authorization, openai-organization, openai-project, user-agent, x-stainless-lang", 200),
        ("x-stainless-os, x-other", 400),
        ("x-stainless", 400),
        ("x-other", 400),
        ("y-x-stainless-os", 400),
    ],
)
async def test_what_sdks_tell_of_themselves_may_be_sent(
    shared: httpx.AsyncClient, asked: str, status: int
) -> None:
    headers = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
    async with shared:
        answer = await shared.options("/v1/completions", headers=headers | {"Origin": ORIGIN})
    assert answer.status_code == status
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    names = {name.strip().lower() for name in asked.split(",")}
    assert (names <= {*allowed}) == (status == 200)
    assert len(allowed) == len({*allowed})


async def test_a_page_of_the_internet_may_ask_for_this_network(shared: httpx.AsyncClient) -> None:
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    async with shared:
        answer = await shared.options("/v1/completions", headers=preflight | {"Origin": ORIGIN})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-private-network"] == "true"
        evil = preflight | {"Origin": "https://evil.example"}
        answer = await shared.options("/v1/completions", headers=evil)
        assert "access-control-allow-origin" not in answer.headers


async def test_every_answer_to_a_known_origin_can_be_read(shared: httpx.AsyncClient) -> None:
    async with shared:
        for headers, status in (({"X-Api-Key": "sk-one"}, 200), ({}, 401)):
            answer = await shared.get("/v1/models", headers=headers | {"Origin": ORIGIN})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
            assert {"x-request-id", "x-job-id", "retry-after", "x-ignored-fields"} <= {*exposed}
            assert {"location", "x-should-retry", "x-ratelimit-remaining"} <= {*exposed}


async def test_a_page_may_read_a_file_in_pieces(shared: httpx.AsyncClient) -> None:
    headers = {"X-Api-Key": "sk-one", "Origin": ORIGIN}
    asked = "range, if-range, if-match, if-none-match, x-api-key"
    preflight = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": asked}
    async with shared:
        url = (await shared.post("/v1/files/upload", content=png(), headers=headers)).json()["url"]
        allowed = await shared.options(url, headers=preflight | {"Origin": ORIGIN})
        assert allowed.status_code == 200
        answer = await shared.get(url, headers=headers | {"Range": "bytes=0-3,6-7"})
        assert answer.status_code == 206
        exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
        assert {"etag", "accept-ranges", "content-range", "content-disposition"} <= {*exposed}


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
