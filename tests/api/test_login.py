"""/login, /logout, /admin/change-password, /admin/api/login, /admin/api/session: web sessions."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from serve_app.api.app import create_app
from serve_app.api.context import Context
from tests.api.conftest import MakeContext, client_of

PASSWORD = "correct horse"
ADA = {"username": "ada", "password": PASSWORD}
OWN = {"Origin": "http://127.0.0.1:8000"}
HTML = {"Accept": "text/html,application/xhtml+xml"}
COOKIE = "session_8000"
NEW = {"new_password": "another horse", "confirm_password": "another horse"}


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context(
        auth={"required": True},
        environment={"ADMIN_USERNAME": "ada", "ADMIN_PASSWORD": PASSWORD, "API_TOKENS": "sk-one"},
        limits={"rates": None},
    )


@pytest.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is not signed in."""
    async with client_of(context) as client:
        yield client
        await context.access.credentials.finish()


@pytest.fixture
async def ada(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The administrator's browser."""
    answer = await client.post("/login", data=ADA)
    assert answer.status_code == 302
    return client


@asynccontextmanager
async def user(context: Context, **body: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of a user with the role user."""
    async with client_of(context) as boss, client_of(context) as client:
        await boss.post("/login", data=ADA)
        made = {"username": "bob", "password": PASSWORD, "must_change_password": False} | body
        assert (await boss.post("/admin/api/users", json=made, headers=OWN)).status_code == 200
        answer = await client.post("/admin/api/login", json=ADA | {"username": "bob"})
        assert answer.status_code == 200
        yield client


def cookie_of(answer: httpx.Response) -> str:
    (header,) = answer.headers.get_list("set-cookie")
    return str(header)


async def test_the_form_signs_in(client: httpx.AsyncClient) -> None:
    form = await client.get("/login")
    assert form.status_code == 200
    assert form.headers["content-type"] == "text/html; charset=utf-8"
    assert '<form method="post" action="/login">' in form.text
    answer = await client.post("/login", data=ADA)
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin")
    page = await client.get("/admin", headers=HTML)
    assert page.status_code == 200
    assert "ada" in page.text
    again = await client.get("/login")
    assert (again.status_code, again.headers["location"]) == (302, "/admin")


async def test_the_cookie_is_closed_to_scripts_and_other_sites(client: httpx.AsyncClient) -> None:
    header = cookie_of(await client.post("/login", data=ADA))
    name, value = header.split(";")[0].split("=")
    assert name == COOKIE
    assert re.fullmatch(r"[0-9a-f]{64}\.[0-9a-f]{64}", value)
    attributes = {part.strip().lower() for part in header.split(";")[1:]}
    assert attributes == {"httponly", "max-age=2592000", "path=/", "samesite=strict"}


async def test_the_cookie_is_secure_on_https(context: Context) -> None:
    transport = httpx.ASGITransport(create_app(context))
    async with httpx.AsyncClient(transport=transport, base_url="https://own.example") as client:
        header = cookie_of(await client.post("/login", data=ADA))
        assert header.startswith("session_443=")
        assert "secure" in header.lower()
        answer = await client.post("/logout", headers={"Origin": "https://own.example"})
        assert answer.status_code == 302


@pytest.mark.parametrize(("trusted", "is_secure"), [(["127.0.0.0/8"], True), ([], False)])
async def test_only_a_listed_proxy_can_say_that_it_was_https(
    make_context: MakeContext, trusted: list[str], is_secure: bool
) -> None:
    context = make_context(
        environment={"ADMIN_PASSWORD": PASSWORD}, server={"trusted_proxies": trusted}
    )
    async with client_of(context) as client:
        answer = await client.post(
            "/login",
            data=ADA | {"username": "admin"},
            headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"},
        )
    assert ("secure" in cookie_of(answer).lower()) == is_secure


@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ("/admin/tokens", "/admin/tokens"),
        ("/admin/tokens?x=1", "/admin/tokens?x=1"),
        ("", "/admin"),
        ("//evil.example", "/admin"),
        ("/\\evil.example", "/admin"),
        ("\\\\evil.example", "/admin"),
        ("https://evil.example", "/admin"),
        ("javascript:alert(1)", "/admin"),
        ("/\t/evil.example", "/admin"),
        ("/a\r\nSet-Cookie: x=1", "/admin"),
        ("/ü", "/admin"),
        ("/" + "x" * 10_000, "/admin"),
    ],
)
async def test_next_leads_to_this_server_only(
    client: httpx.AsyncClient, wanted: str, location: str
) -> None:
    answer = await client.post("/login", data=ADA | {"next": wanted})
    assert (answer.status_code, answer.headers["location"]) == (302, location)
    assert len(answer.headers.get_list("set-cookie")) == 1


async def test_the_form_keeps_where_to_go_and_nothing_harmful(client: httpx.AsyncClient) -> None:
    assert 'value="/admin/tokens"' in (await client.get("/login?next=/admin/tokens")).text
    form = (await client.get('/login?next=/"><script>alert(1)</script>')).text
    assert "<script>" not in form


@pytest.mark.parametrize(
    "form",
    [
        {"username": "ada", "password": "wrong"},
        {"username": "eve", "password": PASSWORD},
        {"username": "' OR 1=1 --", "password": "x"},
        {"username": "ada\0", "password": PASSWORD},
        {"username": "<script>alert(1)</script>", "password": "x"},
        {"username": "x" * 10_000, "password": "y" * 10_000},
        {"username": "ada"},
        {},
    ],
)
async def test_every_wrong_sign_in_is_told_the_same(
    client: httpx.AsyncClient, form: dict[str, str]
) -> None:
    answer = await client.post("/login", data=form)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "the user name or the password is wrong" in answer.text
    assert "<script>" not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"\xff=\xfe", 400), (b"a=1&" * 30, 400), (b"username=" + b"x" * 70_000, 413), (b"", 401)],
)
async def test_bodies_that_are_no_form(
    client: httpx.AsyncClient, content: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await client.post("/login", content=content, headers=headers)).status_code == status


async def test_the_json_sign_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/admin/api/login", json=ADA)
    assert answer.json() == {"username": "ada", "role": "admin", "must_change_password": False}
    assert cookie_of(answer).startswith(COOKIE)
    session = (await client.get("/admin/api/session")).json()
    assert set(session) == {"username", "role", "scopes", "expires_at", "csrf_token"}
    assert (session["username"], session["role"]) == ("ada", "admin")
    assert sorted(session["scopes"]) == ["admin", "inference"]
    assert len(session["csrf_token"]) == 64


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (ADA | {"password": "wrong"}, 401),
        (ADA | {"username": "eve"}, 401),
        ({"username": "ada"}, 400),
        (ADA | {"username": "x" * 64}, 401),
        (ADA | {"username": "x" * 65}, 400),
        (ADA | {"password": "x" * 1024}, 401),
        (ADA | {"password": "x" * 1025}, 400),
        ({"username": 1, "password": []}, 400),
        ([], 400),
    ],
)
async def test_wrong_json_sign_ins(client: httpx.AsyncClient, body: Any, status: int) -> None:
    answer = await client.post("/admin/api/login", json=body)
    assert answer.status_code == status
    code = "invalid_api_key" if status == 401 else "invalid_request"
    assert answer.json()["error"]["code"] == code


async def test_the_sixth_failure_in_a_quarter_of_an_hour_is_429(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        assert (await client.post("/login", data=ADA | {"password": "no"})).status_code == 401
    form = await client.post("/login", data=ADA)
    assert form.status_code == 429
    assert "text/html" in form.headers["content-type"]
    api = await client.post("/admin/api/login", json=ADA)
    assert api.status_code == 429
    assert api.json()["error"]["code"] == "rate_limit_exceeded"
    for answer in (form, api):
        assert 0 < int(answer.headers["retry-after"]) <= 900


async def test_a_program_that_posts_its_token_or_nothing_is_no_failure(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(6):
        for form in ({}, ADA | {"password": "sk-one"}):
            answer = await client.post("/login", data=form)
            assert answer.status_code == 401
            assert "set-cookie" not in answer.headers
    assert (await client.post("/login", data=ADA)).status_code == 302


async def test_a_password_that_is_a_token_too_signs_in(make_context: MakeContext) -> None:
    password = "sk-as long as a password"
    environment = {"ADMIN_PASSWORD": password, "ADMIN_TOKEN": password}
    async with client_of(make_context(environment=environment)) as client:
        form = {"username": "admin", "password": password}
        assert (await client.post("/login", data=form)).status_code == 302


async def test_addresses_from_invented_headers_do_not_escape_the_throttle(
    client: httpx.AsyncClient,
) -> None:
    for i in range(5):
        form = {"username": f"guess-{i}", "password": "no"}
        headers = {"X-Forwarded-For": f"203.0.113.{i}", "X-Real-IP": f"203.0.113.{i}"}
        assert (await client.post("/login", data=form, headers=headers)).status_code == 401
    answer = await client.post("/login", data=ADA, headers={"X-Forwarded-For": "203.0.113.99"})
    assert answer.status_code == 429


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Origin": "null"},
    ],
)
async def test_a_page_of_another_site_cannot_sign_a_browser_in(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for answer in (
        await client.post("/login", data=ADA, headers=headers),
        await client.post("/admin/api/login", json=ADA, headers=headers),
    ):
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "csrf_failed"


@pytest.mark.parametrize(
    "headers", [OWN, OWN | {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
)
async def test_the_own_page_can(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.post("/login", data=ADA, headers=headers)).status_code == 302


@pytest.mark.covers("CoderAI: web sessions")
async def test_a_session_serves_every_route(ada: httpx.AsyncClient) -> None:
    assert (await ada.get("/v1/models")).status_code == 200
    assert (await ada.get("/admin/api/tokens")).status_code == 200


async def test_the_cookie_is_the_last_carrier(ada: httpx.AsyncClient) -> None:
    for headers in (
        {"Authorization": "Bearer wrong"},
        {"X-Api-Key": "wrong"},
        {"Coder-Session-Token": "wrong"},
        {"Authorization": "Basic eDp3cm9uZw=="},
    ):
        assert (await ada.get("/v1/models", headers=headers)).status_code == 401
    answer = await ada.get("/admin/api/tokens", headers={"X-Api-Key": "sk-one"})
    assert answer.status_code == 403


def tampered(cookie: str) -> Iterator[str]:
    other = "0" if cookie[0] != "0" else "1"
    yield other + cookie[1:]
    yield cookie[:-1] + ("0" if cookie[-1] != "0" else "1")
    yield cookie.partition(".")[0]
    yield cookie.partition(".")[0] + "." + "0" * 64
    yield from ("", ".", "x" * 5000, "%00.%00", '"' + cookie + '"', "\xff.\xff")


async def test_tampered_cookies_are_none(ada: httpx.AsyncClient) -> None:
    cookie = ada.cookies[COOKIE]
    ada.cookies.clear()
    for value in tampered(cookie):
        raw = [(b"cookie", f"{COOKIE}={value}".encode("latin-1"))]
        assert (await ada.get("/v1/models", headers=raw)).status_code == 401, value
    raw = [(b"cookie", f"other=1; {COOKIE}={cookie} ; more=2".encode())]
    assert (await ada.get("/v1/models", headers=raw)).status_code == 200


async def test_a_cookie_of_another_port_is_not_read(ada: httpx.AsyncClient) -> None:
    cookie = ada.cookies[COOKIE]
    ada.cookies.clear()
    headers = {"Cookie": f"session_8001={cookie}"}
    assert (await ada.get("/v1/models", headers=headers)).status_code == 401


WRITE = ("POST", "/admin/api/tokens", {"name": "x"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "https://127.0.0.1:8000"},
        {"Origin": "http://127.0.0.1:8001"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Referer": "http://127.0.0.1:8000/admin"},
        {"X-CSRF-Token": "0" * 64},
        {"X-CSRF-Token": ""},
    ],
)
async def test_a_write_with_a_cookie_needs_a_sign_of_the_own_page(
    ada: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    method, path, body = WRITE
    answer = await ada.request(method, path, json=body, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "csrf_failed"
    assert len((await ada.get(path)).json()) == 1
    answer = await ada.post("/v1/embeddings", json={"input": "x"}, headers=headers)
    assert answer.status_code == 403


async def test_three_signs_of_the_own_page(ada: httpx.AsyncClient) -> None:
    token = (await ada.get("/admin/api/session")).json()["csrf_token"]
    method, path, body = WRITE
    for headers in (OWN, {"Sec-Fetch-Site": "same-origin"}, {"X-CSRF-Token": token}):
        answer = await ada.request(method, path, json=body, headers=headers)
        assert answer.status_code == 200


async def test_a_token_needs_no_sign_beside_a_cookie(
    make_context: MakeContext, ada: httpx.AsyncClient
) -> None:
    answer = await ada.post(
        "/v1/embeddings",
        json={"input": "x", "model": "digest"},
        headers={"Authorization": "Bearer sk-one"},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(("method", "headers"), [("GET", {}), ("POST", OWN)])
async def test_signing_out_ends_the_session_on_the_server(
    ada: httpx.AsyncClient, method: str, headers: dict[str, str]
) -> None:
    cookie = ada.cookies[COOKIE]
    answer = await ada.request(method, "/logout", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (302, "/login")
    assert COOKIE not in ada.cookies
    kept = {"Cookie": f"{COOKIE}={cookie}"}
    assert (await ada.get("/v1/models", headers=kept)).status_code == 401


async def test_another_page_cannot_sign_out(ada: httpx.AsyncClient) -> None:
    answer = await ada.post("/logout", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert (await ada.get("/v1/models")).status_code == 200


async def test_signing_out_twice_or_without_a_session(client: httpx.AsyncClient) -> None:
    for method in ("GET", "POST"):
        answer = await client.request(method, "/logout")
        assert (answer.status_code, answer.headers["location"]) == (302, "/login")


@pytest.mark.parametrize("path", ["/admin", "/admin/tokens", "/admin/change-password"])
async def test_pages_send_browsers_to_the_form_and_others_get_json(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (302, f"/login?next={path}")
    answer = await client.get(path)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    answer = await client.post(path, headers=HTML)
    assert answer.status_code == 401


async def test_json_routes_never_redirect(client: httpx.AsyncClient) -> None:
    for path in ("/admin/api/tokens", "/admin/api/session", "/v1/models"):
        assert (await client.get(path, headers=HTML)).status_code == 401


async def test_pages_cannot_be_framed_or_cached(ada: httpx.AsyncClient) -> None:
    for path in ("/login?next=x", "/admin", "/admin/tokens", "/admin/change-password"):
        answer = await ada.get(path)
        if answer.status_code == 200:
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"


async def test_changing_the_own_password(context: Context, ada: httpx.AsyncClient) -> None:
    async with client_of(context) as other:
        await other.post("/login", data=ADA)
        answer = await ada.post(
            "/admin/change-password", data=NEW | {"old_password": PASSWORD}, headers=OWN
        )
        assert (answer.status_code, answer.headers["location"]) == (302, "/admin")
        assert (await ada.get("/admin")).status_code == 200
        assert (await other.get("/admin")).status_code == 401
        assert (await other.post("/login", data=ADA)).status_code == 401
        form = ADA | {"password": "another horse"}
        assert (await other.post("/login", data=form)).status_code == 302


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (NEW | {"old_password": "wrong"}, "the old password is wrong"),
        (NEW, "the old password is wrong"),
        (NEW | {"old_password": PASSWORD, "confirm_password": "x"}, "the two new passwords differ"),
        (
            {"old_password": PASSWORD, "new_password": "short", "confirm_password": "short"},
            "at least 8 characters",
        ),
        ({}, "at least 8 characters"),
    ],
)
async def test_wrong_changes_of_the_password(
    ada: httpx.AsyncClient, form: dict[str, str], reason: str
) -> None:
    answer = await ada.post("/admin/change-password", data=form, headers=OWN)
    assert answer.status_code == 400
    assert "text/html" in answer.headers["content-type"]
    assert reason in answer.text
    assert (await ada.post("/login", data=ADA)).status_code == 302


async def test_a_password_is_not_changed_from_another_page_or_by_a_token(
    ada: httpx.AsyncClient,
) -> None:
    form = NEW | {"old_password": PASSWORD}
    assert (await ada.post("/admin/change-password", data=form)).status_code == 403
    headers = {"Authorization": "Bearer sk-one"}
    answer = await ada.post("/admin/change-password", data=form, headers=headers)
    assert answer.status_code == 401


async def test_until_the_password_is_changed_nothing_else_works(context: Context) -> None:
    async with user(context, must_change_password=True) as bob:
        for path in ("/v1/models", "/admin/api/session", "/v1/files/x"):
            answer = await bob.get(path)
            assert answer.status_code == 403
            assert "/admin/change-password" in answer.json()["error"]["message"]
        answer = await bob.get("/login")
        assert answer.headers["location"] == "/admin/change-password"
        page = await bob.get("/admin/change-password")
        assert page.status_code == 200
        assert "old_password" not in page.text
        answer = await bob.post("/admin/change-password", data=NEW, headers=OWN)
        assert answer.status_code == 302
        assert (await bob.get("/v1/models")).status_code == 200
        session = (await bob.get("/admin/api/session")).json()
        assert (session["role"], session["scopes"]) == ("user", ["inference"])


async def test_without_auth_a_session_is_still_its_user(make_context: MakeContext) -> None:
    context = make_context(environment={"ADMIN_PASSWORD": PASSWORD})
    async with client_of(context) as client:
        assert (await client.get("/v1/models")).status_code == 200
        assert (await client.get("/admin")).status_code == 401
        assert (await client.get("/admin/api/session")).status_code == 401
        await client.post("/login", data=ADA | {"username": "admin"})
        assert (await client.get("/admin/api/session")).json()["username"] == "admin"
        assert (await client.get("/admin")).status_code == 200
