"""Signing in by the headers of a proxy: who is believed, and what it is good for."""

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from serve_app.access.forward import UnusableForwardAuth, check_forward_auth
from serve_app.api.app import create_app
from serve_app.core.settings import ForwardAuth
from tests.api.conftest import MakeContext

SECRET = "a secret of the proxy"
PROXY = "10.1.0.7"
PROXIES = ["10.1.0.0/24"]
NAMED = {"X-Forwarded-User": "bob", "X-Forwarded-Secret": SECRET}
ADMINS = NAMED | {"X-Forwarded-Groups": "staff, operators"}
HTML = {"Accept": "text/html"}
Browser = Callable[..., httpx.AsyncClient]


@pytest.fixture
def make_browser(make_context: MakeContext) -> Browser:
    """A browser behind the peer `peer`; keyword arguments are settings of `auth.forward`."""

    def make(peer: str = PROXY, **forward: Any) -> httpx.AsyncClient:
        settings = {"proxies": PROXIES, "admin_groups": ["operators"]} | forward
        context = make_context(
            auth={"required": True, "forward": settings},
            environment={
                "ADMIN_USERNAME": "ada",
                "ADMIN_PASSWORD": "correct horse",
                "FORWARD_AUTH_SECRET": SECRET,
            },
            limits={"rates": None},
        )
        transport = httpx.ASGITransport(create_app(context), client=(peer, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://own.example")

    return make


@pytest.fixture
async def browser(make_browser: Browser) -> AsyncIterator[httpx.AsyncClient]:
    async with make_browser() as browser:
        yield browser


async def role_of(browser: httpx.AsyncClient, **headers: str) -> str | None:
    answer = await browser.get("/admin/api/session", headers=headers)
    return answer.json().get("role") if answer.status_code == 200 else None


async def test_a_user_is_made_on_first_sight(browser: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await browser.get("/login?next=/admin/change-password", headers=NAMED)
        assert (answer.status_code, answer.headers["location"]) == (302, "/admin/change-password")
        assert "HttpOnly" in answer.headers["set-cookie"]
    session = (await browser.get("/admin/api/session")).json()
    assert (session["username"], session["role"]) == ("bob", "user")
    assert session["scopes"] == ["inference"]
    assert (await browser.get("/admin/api/users")).status_code == 403


async def test_a_page_leads_there_and_back(browser: httpx.AsyncClient) -> None:
    browser.follow_redirects = True
    answer = await browser.get("/admin", headers=ADMINS | HTML)
    assert answer.status_code == 200
    assert "Administration of bob" in answer.text


async def test_a_listed_group_makes_an_admin(browser: httpx.AsyncClient) -> None:
    await browser.get("/login", headers=ADMINS)
    users = (await browser.get("/admin/api/users")).json()["users"]
    assert [(user["username"], user["role"]) for user in users] == [
        ("ada", "admin"),
        ("bob", "admin"),
    ]


async def test_who_leaves_the_group_is_no_admin_any_more(browser: httpx.AsyncClient) -> None:
    await browser.get("/login", headers=ADMINS)
    assert await role_of(browser, **ADMINS) == "admin"
    assert await role_of(browser, **NAMED) is None
    old = dict(browser.cookies)
    await browser.get("/login", headers=NAMED)
    assert await role_of(browser, **NAMED) == "user"
    browser.cookies.clear()
    cookie = "; ".join(f"{name}={value}" for name, value in old.items())
    assert await role_of(browser, Cookie=cookie) is None


@pytest.mark.parametrize("headers", [NAMED, ADMINS])
async def test_the_name_of_an_account_with_a_password_is_no_way_into_it(
    browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    named = headers | {"X-Forwarded-User": "ada"}
    answer = await browser.get("/login?next=/admin/tokens", headers=named)
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert "sign in with its password" in answer.text
    assert "/admin/tokens" in answer.text
    assert "set-cookie" not in answer.headers
    assert await role_of(browser, **named) is None
    # With the password the same browser comes in, and the proxy does not put it out again.
    form = {"username": "ada", "password": "correct horse", "next": "/admin/tokens"}
    answer = await browser.post("/login", data=form, headers=named)
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/tokens")
    assert await role_of(browser, **named) == "admin"


async def test_an_account_that_gets_a_password_is_the_proxys_no_more(
    browser: httpx.AsyncClient,
) -> None:
    await browser.get("/login", headers=ADMINS)
    own = {"Origin": "http://own.example"}
    (bob,) = [
        user
        for user in (await browser.get("/admin/api/users")).json()["users"]
        if user["username"] == "bob"
    ]
    change = {"password": "another horse"}
    answer = await browser.patch(f"/admin/api/users/{bob['id']}", json=change, headers=own)
    assert answer.status_code == 200
    assert await role_of(browser, **ADMINS) is None
    assert (await browser.get("/login", headers=NAMED)).status_code == 403


async def test_another_user_at_the_proxy_is_another_user_here(browser: httpx.AsyncClient) -> None:
    await browser.get("/login", headers=NAMED)
    other = NAMED | {"X-Forwarded-User": "eve"}
    assert await role_of(browser, **other) is None
    await browser.get("/login", headers=other)
    assert (await browser.get("/admin/api/session")).json()["username"] == "eve"


@pytest.mark.parametrize("peer", ["10.1.1.7", "127.0.0.1", "::1", "8.8.8.8"])
async def test_headers_of_an_unlisted_address_are_nothing(make_browser: Browser, peer: str) -> None:
    invented = ADMINS | {"X-Forwarded-For": PROXY, "X-Real-IP": PROXY, "Forwarded": f"for={PROXY}"}
    async with make_browser(peer) as browser:
        answer = await browser.get("/login", headers=invented)
        assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-User": "bob"},
        NAMED | {"X-Forwarded-Secret": ""},
        NAMED | {"X-Forwarded-Secret": SECRET[:-1]},
        NAMED | {"X-Forwarded-Secret": SECRET.upper()},
        {"X-Forwarded-Secret": SECRET},
        NAMED | {"X-Forwarded-User": ""},
        [*ADMINS.items(), ("X-Forwarded-Groups", "operators")],
        [*NAMED.items(), ("X-Forwarded-User", "ada")],
        [*NAMED.items(), ("X-Forwarded-Secret", SECRET)],
    ],
)
async def test_without_the_secret_or_with_doubled_headers_nobody_is_named(
    browser: httpx.AsyncClient, headers: Any
) -> None:
    answer = await browser.get("/login", headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)


@pytest.mark.parametrize(
    "name", ["a b", "x", "api", "anonymous", "<script>alert(1)</script>", "../../etc", "x" * 65]
)
async def test_names_that_nobody_can_have(browser: httpx.AsyncClient, name: str) -> None:
    answer = await browser.get("/login", headers=NAMED | {"X-Forwarded-User": name})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script>" not in answer.text
    assert "set-cookie" not in answer.headers


async def test_other_routes_keep_their_own_credentials(browser: httpx.AsyncClient) -> None:
    for path in ("/v1/models", "/v1/jobs", "/admin/api/users", "/admin/api/session", "/metrics"):
        assert (await browser.get(path, headers=ADMINS)).status_code == 401, path
    answer = await browser.post("/admin/api/login", json={}, headers=ADMINS)
    assert answer.status_code == 400


async def test_it_is_off_by_default(make_browser: Browser) -> None:
    async with make_browser(proxies=[]) as browser:
        answer = await browser.get("/login", headers=ADMINS)
        assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)


async def test_who_came_through_the_proxy_has_no_password(browser: httpx.AsyncClient) -> None:
    await browser.get("/login", headers=NAMED)
    browser.cookies.clear()
    for password in ("", "None", "null"):
        body = {"username": "bob", "password": password}
        assert (await browser.post("/admin/api/login", json=body)).status_code == 401
    form = {"new_password": "long enough", "confirm_password": "long enough"}
    await browser.get("/login", headers=NAMED)
    answer = await browser.post(
        "/admin/change-password", data=form, headers={"Origin": "http://own.example"}
    )
    assert answer.status_code == 400


async def test_headers_have_the_names_that_are_configured(make_browser: Browser) -> None:
    names = {"user_header": "Remote-User", "group_header": "Remote-Groups"}
    async with make_browser(**names, secret_header="X-Auth") as browser:
        assert (await browser.get("/login", headers=ADMINS)).status_code == 200
        chosen = {"Remote-User": "bob", "Remote-Groups": "operators", "X-Auth": SECRET}
        assert (await browser.get("/login", headers=chosen)).status_code == 302
        assert await role_of(browser) == "admin"


@pytest.mark.parametrize(
    ("proxies", "secret", "is_refused"),
    [
        ((), None, False),
        (("10.1.0.7",), SECRET, False),
        *itertools.product([("10.1.0.7",)], [None, "", "short"], [True]),
    ],
)
def test_proxies_without_a_secret_are_refused_at_the_start(
    proxies: tuple[str, ...], secret: str | None, is_refused: bool
) -> None:
    settings = ForwardAuth.model_validate({"proxies": proxies})
    if is_refused:
        with pytest.raises(UnusableForwardAuth, match="FORWARD_AUTH_SECRET"):
            check_forward_auth(settings, secret)
    else:
        check_forward_auth(settings, secret)
