"""Texts that mean something to SQL, shells, paths, templates and terminals, in every field that
takes a text of a durable route. They are kept as they are or refused, on both databases.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import func, select

from serve_app.api.context import Context
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.database.schema import JobRow, Table, TokenRow, UserRow
from tests.api.conftest import MakeContext, client_of
from tests.api.test_bad_input import LEAKS
from tests.images import data_url, png
from tests.servers import DatabaseServer

TEXTS = [
    "' OR '1'='1' --",
    "'; DROP TABLE jobs; --",
    '"; DELETE FROM users; --',
    "1); UPDATE users SET role='admin' WHERE (1=1",
    "\\' UNION SELECT digest FROM tokens --",
    "%_%",
    "$(touch /tmp/owned)`id`|&;",
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "file:///etc/passwd",
    "{{7*7}}${7*7}%s%n{0.__class__}",
    "<script>alert(1)</script>",
    "a\0b",
    "a\r\nSet-Cookie: x=1",
    "\x1b[31mred\x07",
    "\u202etxt.exe",
    "\u0430\u0301\ufeff\U0001f600",
    "x" * 10_000,
    "",
    " ",
]
IMAGE = data_url(png(size=(4, 4)))
BODIES: list[tuple[str, str, dict[str, Any], tuple[str, ...]]] = [
    (
        *("POST", "/v1/audio/speech"),
        {"input": "x", "response_format": "url"},
        ("input", "voice", "callback_url"),
    ),
    (
        *("POST", "/v1/images/generations"),
        {"prompt": "x", "size": "16x16"},
        ("prompt", "negative_prompt", "model", "size", "response_format", "ref_id", "tag", "user"),
    ),
    (
        *("POST", "/v1/chat/completions"),
        {"model": "echo", "messages": [{"role": "user", "content": "x"}]},
        ("model", "user", "tag", "ref_id", "callback_url"),
    ),
    (
        *("POST", "/v1/characters"),
        {"name": "ann", "description": "d", "images": [{"data": IMAGE}]},
        ("name", "description"),
    ),
    (
        *("POST", "/v1/environments"),
        {"name": "hall", "description": "d", "images": [{"data": IMAGE, "label": "l"}]},
        ("name", "description"),
    ),
    (*("PATCH", "/v1/characters/ann"), {"description": "d"}, ("description",)),
    (
        *("POST", "/v1/files/upload"),
        {"data": IMAGE, "filename": "a.png"},
        ("data", "filename"),
    ),
    (
        *("POST", "/admin/api/tokens"),
        {"name": "t"},
        ("name", "provider", "user", "expires_at"),
    ),
    (
        *("POST", "/api/v2/ai/providers"),
        {"type": "openai", "name": "p", "base_url": "http://127.0.0.1:1"},
        ("type", "name", "base_url", "display_name", "icon"),
    ),
    (
        *("POST", "/admin/api/users"),
        {"username": "new-user", "password": "long enough"},
        ("username", "role"),
    ),
    (*("POST", "/admin/api/login"), {"username": "u", "password": "p"}, ("username", "password")),
    (*("POST", "/admin/api/archive-settings"), {}, ("retention",)),
    (*("POST", "/admin/api/observability/toggle"), {"key": "x", "value": "off"}, ("key",)),
]
PATHS = [
    ("GET", "/v1/jobs/{}"),
    ("GET", "/v1/jobs/{}/events"),
    ("POST", "/v1/jobs/{}/cancel"),
    ("GET", "/v1/files/{}"),
    ("GET", "/v1/files/blob/{}"),
    ("GET", "/v1/archive/{}"),
    ("DELETE", "/v1/archive/{}"),
    ("GET", "/v1/models/{}"),
    ("GET", "/v1/{}/progress"),
    ("GET", "/v1/characters/{}"),
    ("DELETE", "/v1/environments/{}"),
    ("PATCH", "/v1/audio/voices/{}"),
    ("DELETE", "/admin/api/tokens/{}"),
    ("GET", "/api/v2/ai/providers/{}"),
    ("DELETE", "/api/v2/ai/providers/{}"),
    ("PATCH", "/admin/api/users/{}"),
    ("DELETE", "/admin/api/users/{}"),
    ("POST", "/admin/api/tasks/{}/cancel"),
    ("DELETE", "/admin/api/tasks/{}"),
    ("POST", "/admin/api/models/{}/load"),
    ("GET", "/admin/api/archive/{}"),
    ("GET", "/admin/api/voices/{}/thumbnail"),
]
QUERIES = [
    *(("/v1/jobs", name) for name in ("status", "operation", "tag", "ref_id", "limit", "offset")),
    *(
        ("/v1/archive", name)
        for name in ("type", "model", "operation", "owner", "tag", "q", "order", "created_after")
    ),
    ("/admin/api/archive", "q"),
    ("/login", "next"),
]
HEADERS = [
    *("X-Request-ID", "Prefer", "Last-Event-ID", "Origin", "X-Forwarded-For", "X-Forwarded-Host"),
    *("Accept", "Range", "If-None-Match", "User-Agent", "Cookie", "X-CSRF-Token"),
]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    """None is the SQLite of `make_context`."""
    if request.param == "sqlite":
        return None
    server: DatabaseServer = request.getfixturevalue("postgres")
    url = server.new_database("injection")
    database = Database(url)
    migrate(database)
    database.close()
    return url


@pytest.fixture
def context(make_context: MakeContext, url: str | None) -> Iterator[Context]:
    """Afterwards every table is there, and nobody has more rights than before."""
    environment = {"ADMIN_TOKEN": "sk-admin", "ADMIN_USERNAME": "ada", "ADMIN_PASSWORD": "x" * 9}
    context = make_context(
        auth={"required": True},
        limits={"rates": None},
        environment=environment,
        database_url=url,
    )
    yield context

    def check(session: Any) -> None:
        for table in Table.metadata.sorted_tables:
            session.execute(select(func.count()).select_from(table))
        admins = select(UserRow.username).where(UserRow.role == "admin")
        assert list(session.scalars(admins)) == ["ada"]
        scopes = select(TokenRow.name).where(TokenRow.source == "environment")
        assert len(list(session.scalars(scopes))) == 1

    context.database.read_now(check)


@pytest.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's."""
    async with client_of(context) as client:
        client.headers["Authorization"] = "Bearer sk-admin"
        yield client


def check(answer: httpx.Response, what: object) -> None:
    """No failure of the server, except one that says that an operation is not there."""
    shown = (what, answer.status_code, answer.text[:300])
    assert answer.status_code < 500, shown
    assert "x" not in answer.cookies, shown
    if answer.status_code >= 400 and answer.headers["content-type"] == "application/json":
        error = answer.json()["error"]
        # What the caller sent may be repeated, and nothing else that is no business of theirs.
        message = error["message"]
        for text in TEXTS[:-2]:
            message = message.replace(text, "").replace(repr(text)[1:-1], "")
        assert not LEAKS.search(message), shown
        assert "sql" not in message.lower(), shown


@pytest.mark.parametrize(("method", "path", "body", "fields"), BODIES, ids=lambda v: str(v)[:30])
async def test_in_every_field_of_a_body(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any], fields: tuple[str, ...]
) -> None:
    for field in fields:
        for text in TEXTS:
            # Ten thousand spoken characters are a quarter of an hour, and no bad input.
            content = json.dumps(body | {field: text[:500] if field == "input" else text})
            answer = await client.request(
                method, path, content=content, headers={"Content-Type": "application/json"}
            )
            check(answer, (path, field, text[:50]))
            if path == "/admin/api/login":
                # Not to be locked out.
                assert answer.status_code in (400, 401, 429)


async def test_in_every_part_of_a_path(client: httpx.AsyncClient) -> None:
    for method, path in PATHS:
        for text in TEXTS:
            target = path.format(quote(text, safe=""))
            answer = await client.request(method, target, json={})
            check(answer, (method, target[:80]))


async def test_in_every_query(client: httpx.AsyncClient) -> None:
    for path, name in QUERIES:
        for text in (*TEXTS, "%ED%A0%80", "%FF"):
            raw = text if text.startswith("%E") or text == "%FF" else quote(text, safe="")
            answer = await client.get(f"{path}?{name}={raw}")
            check(answer, (path, name, raw[:50]))


async def test_in_every_header(client: httpx.AsyncClient) -> None:
    for name in HEADERS:
        for text in TEXTS:
            if not set(text) & {"\0", "\r", "\n", "\x1b", "\x07"}:
                answer = await client.get("/v1/jobs", headers={name: text.encode()})  # type: ignore[dict-item]
                check(answer, (name, text[:50]))


async def test_what_is_kept_is_kept_as_it_was(client: httpx.AsyncClient, context: Context) -> None:
    kept = [text for text in TEXTS if 0 < len(text) <= 200 and "\0" not in text]
    for text in kept:
        body = {"input": "x", "response_format": "url", "tag": text}
        assert (await client.post("/v1/audio/speech", json=body)).status_code == 200
        found = (await client.get("/v1/jobs", params={"tag": text})).json()
        assert [job["tag"] for job in found["data"]] == [text]
    count = context.database.read_now(
        lambda session: session.scalar(select(func.count()).select_from(JobRow))
    )
    assert count == len(kept)
