"""How much is read of a body before anybody has signed in, and of one of the administration."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.routing import Route

from serve_app.api.app import create_app
from serve_app.api.context import Context
from tests.api.conftest import MakeContext, client_of

BOSS = {"X-Api-Key": "sk-boss"}
KIB = 1024
LIMIT = 64 * KIB
CHUNK = 4 * KIB
SENT = 1024 * KIB
TYPES = ("application/json", "application/x-www-form-urlencoded", "text/plain", "")
LOGIN = '{"username": "ada", "password": "x"}'


class Body:
    """One whose length nobody tells, and how much of it was taken."""

    def __init__(self) -> None:
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.taken < SENT:
            self.taken += CHUNK
            yield b" " * CHUNK


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context(
        auth={"required": True}, environment={"ADMIN_TOKEN": "sk-boss"}, limits={"rates": None}
    )


def small(context: Context) -> set[tuple[str, str]]:
    """Every open route and every route of the administration that may have a body."""
    found = set()
    for route in create_app(context).routes:
        assert isinstance(route, Route)
        path = str(route.url_path_for(route.name, **dict.fromkeys(route.param_convertors, "1")))
        if path.startswith("/admin") or path in ("/login", "/logout"):
            found |= {(method, path) for method in route.methods or ()}
    return found


@pytest.mark.parametrize("kind", TYPES)
async def test_no_more_than_64_kib_are_read(context: Context, kind: str) -> None:
    headers = BOSS | ({"Content-Type": kind} if kind else {})
    refused = set()
    async with client_of(context) as client:
        for method, path in sorted(small(context)):
            body = Body()
            answer = await client.request(method, path, content=body, headers=headers)
            assert body.taken <= LIMIT + CHUNK, (method, path)
            assert answer.status_code != 500
            if answer.status_code == 413:
                assert answer.json()["error"]["code"] == "payload_too_large"
                refused.add((method, path))
    if kind == "application/json":
        assert {("POST", "/admin/api/login"), ("POST", "/admin/api/users")} <= refused
        assert {("POST", "/admin/api/tokens"), ("PATCH", "/admin/api/users/1")} <= refused
    if kind == "application/x-www-form-urlencoded":
        assert ("POST", "/login") in refused


@pytest.mark.parametrize(
    ("size", "status"), [(len(LOGIN), 401), (LIMIT, 401), (LIMIT + 1, 413), (SENT, 413)]
)
async def test_the_limit_of_a_sign_in_is_exact(context: Context, size: int, status: int) -> None:
    async with client_of(context) as client:
        headers = {"Content-Type": "application/json"}
        content = LOGIN.ljust(size).encode()
        answer = await client.post("/admin/api/login", content=content, headers=headers)
        assert answer.status_code == status, answer.text


async def test_a_length_that_is_told_is_refused_before_a_byte_is_read(context: Context) -> None:
    async with client_of(context) as client:
        for path, kind in (("/admin/api/login", TYPES[0]), ("/login", TYPES[1])):
            body = Body()
            headers = {"Content-Type": kind, "Content-Length": str(SENT)}
            answer = await client.post(path, content=body, headers=headers)
            assert (answer.status_code, body.taken) == (413, 0)


@pytest.mark.parametrize("told", ["-1", "1e9", "", "9" * 30, "٣"])
async def test_a_length_that_is_none_is_counted(context: Context, told: str) -> None:
    async with client_of(context) as client:
        body = Body()
        headers = httpx.Headers(
            [(b"Content-Type", b"application/json"), (b"Content-Length", told.encode())]
        )
        answer = await client.post("/admin/api/login", content=body, headers=headers)
        assert answer.status_code == 413
        assert 0 < body.taken <= LIMIT + CHUNK


async def test_who_has_signed_in_may_send_more_elsewhere(context: Context) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "user": "x" * 100 * KIB}
    async with client_of(context) as client:
        answer = await client.post("/v1/chat/completions", json=body, headers=BOSS)
        assert answer.status_code == 200
        taken = Body()
        answer = await client.post("/v1/chat/completions", content=taken)
        assert (answer.status_code, taken.taken) == (401, 0)
