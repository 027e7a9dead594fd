"""/admin/api/users: made, changed, removed, with their sessions and tokens."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from serve_app.api.context import Context
from tests.api.conftest import MakeContext, client_of
from tests.api.test_admin_tokens import INJECTIONS, JSON

USERS = "/admin/api/users"
PASSWORD = "correct horse"


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context(
        auth={"required": True}, environment={"ADMIN_TOKEN": "sk-boss"}, limits={"rates": None}
    )


@pytest.fixture
async def boss(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        client.headers["Authorization"] = "Bearer sk-boss"
        yield client
        await context.access.credentials.finish()


async def create(client: httpx.AsyncClient, username: str, **body: Any) -> int:
    answer = await client.post(
        USERS,
        json={"username": username, "password": PASSWORD, "must_change_password": False} | body,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    return int(answer.json()["id"])


async def users(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(USERS)).json()["users"]
    return found


@asynccontextmanager
async def browser(
    context: Context, username: str, password: str = PASSWORD
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is signed in."""
    async with client_of(context) as client:
        body = {"username": username, "password": password}
        answer = await client.post("/admin/api/login", json=body)
        assert answer.status_code == 200, answer.text
        yield client


async def test_a_user_is_made_and_listed_without_the_password(boss: httpx.AsyncClient) -> None:
    id = await create(boss, "ada.l@example-1")
    (user,) = await users(boss)
    assert set(user) == {
        "id",
        "username",
        "role",
        "created_at",
        "must_change_password",
        "last_changed_at",
    }
    assert (user["id"], user["username"], user["role"]) == (id, "ada.l@example-1", "user")
    assert user["created_at"].endswith("Z")


async def test_by_default_a_user_must_change_the_password(boss: httpx.AsyncClient) -> None:
    await boss.post(USERS, json={"username": "ada", "password": PASSWORD})
    (user,) = await users(boss)
    assert (user["role"], user["must_change_password"]) == ("user", True)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "username"),
        ({"username": "ada"}, "password"),
        ({"password": PASSWORD}, "username"),
        ({"username": "ad", "password": PASSWORD}, "username"),
        ({"username": "a" * 65, "password": PASSWORD}, "username"),
        ({"username": "a" * 10_000, "password": PASSWORD}, "username"),
        ({"username": "ada\n", "password": PASSWORD}, "username"),
        ({"username": "ada/../x", "password": PASSWORD}, "username"),
        ({"username": "\u0430da", "password": PASSWORD}, "username"),
        ({"username": "ada\0", "password": PASSWORD}, "username"),
        ({"username": "\ud800ada", "password": PASSWORD}, "username"),
        ({"username": "api", "password": PASSWORD}, "username"),
        ({"username": "anonymous", "password": PASSWORD}, "username"),
        ({"username": 5, "password": PASSWORD}, "username"),
        ({"username": "ada", "password": "short77"}, "password"),
        ({"username": "ada", "password": "x" * 10_000}, "password"),
        ({"username": "ada", "password": None}, "password"),
        ({"username": "ada", "password": PASSWORD, "role": "root"}, "role"),
        (
            {"username": "ada", "password": PASSWORD, "must_change_password": "no"},
            "must_change_password",
        ),
    ],
)
async def test_wrong_bodies(boss: httpx.AsyncClient, body: dict[str, Any], param: str) -> None:
    answer = await boss.post(USERS, content=json.dumps(body), headers=JSON)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert await users(boss) == []


@pytest.mark.parametrize("text", INJECTIONS)
async def test_injections_are_refused_as_names_and_kept_as_passwords(
    context: Context, boss: httpx.AsyncClient, text: str
) -> None:
    assert (
        await boss.post(USERS, json={"username": text, "password": PASSWORD})
    ).status_code == 400
    password = f"{text} and more"
    await create(boss, "ada", password=password)
    async with browser(context, "ada", password) as ada:
        assert (await ada.get("/admin/api/session")).json()["username"] == "ada"


async def test_a_name_is_taken_once(boss: httpx.AsyncClient) -> None:
    await create(boss, "ada")
    answer = await boss.post(USERS, json={"username": "ada", "password": PASSWORD})
    assert answer.status_code == 400
    assert "taken" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "change",
    [{"role": "admin"}, {"password": "another horse"}, {"must_change_password": True}, {}],
)
async def test_a_change_ends_the_sessions(
    context: Context, boss: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    id = await create(boss, "ada")
    async with browser(context, "ada") as ada:
        assert (await ada.get("/v1/models")).status_code == 200
        answer = await boss.patch(f"{USERS}/{id}", json=change)
        assert answer.json() == {"success": True}
        assert (await ada.get("/v1/models")).status_code == 401


async def test_a_changed_role_and_password_hold(context: Context, boss: httpx.AsyncClient) -> None:
    id = await create(boss, "ada")
    await boss.patch(f"{USERS}/{id}", json={"role": "admin", "password": "another horse"})
    async with browser(context, "ada", "another horse") as ada:
        assert (await ada.get(USERS)).status_code == 200
    async with client_of(context) as client:
        body = {"username": "ada", "password": PASSWORD}
        assert (await client.post("/admin/api/login", json=body)).status_code == 401


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"role": "root"}, "role"),
        ({"password": "short"}, "password"),
        ({"must_change_password": 1}, "must_change_password"),
    ],
)
async def test_wrong_changes(boss: httpx.AsyncClient, body: dict[str, Any], param: str) -> None:
    id = await create(boss, "ada")
    answer = await boss.patch(f"{USERS}/{id}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_removing_a_user_ends_sessions_and_tokens(
    context: Context, boss: httpx.AsyncClient
) -> None:
    id = await create(boss, "ada")
    token = (await boss.post("/admin/api/tokens", json={"name": "x", "user": "ada"})).json()
    headers = {"Authorization": f"Bearer {token['token']}"}
    async with browser(context, "ada") as ada:
        assert (await boss.get("/v1/models", headers=headers)).status_code == 200
        assert (await boss.delete(f"{USERS}/{id}")).json() == {"success": True}
        assert (await ada.get("/v1/models")).status_code == 401
    assert (await boss.get("/v1/models", headers=headers)).status_code == 401
    assert (await boss.delete(f"{USERS}/{id}")).status_code == 404
    assert await create(boss, "eve") > id


async def test_the_last_admin_stays(boss: httpx.AsyncClient) -> None:
    first = await create(boss, "ada", role="admin")
    for answer in (
        await boss.delete(f"{USERS}/{first}"),
        await boss.patch(f"{USERS}/{first}", json={"role": "user"}),
    ):
        assert answer.status_code == 400
        assert "last admin" in answer.json()["error"]["message"]
    second = await create(boss, "bob", role="admin")
    assert (await boss.delete(f"{USERS}/{first}")).status_code == 200
    assert (await boss.delete(f"{USERS}/{second}")).status_code == 400


@pytest.mark.parametrize("id", ["0", "77", "9" * 40, "x", "-1", "1%20OR%201"])
async def test_unknown_ids(boss: httpx.AsyncClient, id: str) -> None:
    for answer in (
        await boss.delete(f"{USERS}/{id}"),
        await boss.patch(f"{USERS}/{id}", json={}),
    ):
        assert answer.status_code == 404


async def test_a_user_cannot_administer(context: Context, boss: httpx.AsyncClient) -> None:
    id = await create(boss, "ada")
    async with browser(context, "ada") as ada:
        ada.headers["Sec-Fetch-Site"] = "same-origin"
        for answer in (
            await ada.get(USERS),
            await ada.post(USERS, json={"username": "eve", "password": PASSWORD}),
            await ada.patch(f"{USERS}/{id}", json={"role": "admin"}),
            await ada.delete(f"{USERS}/{id}"),
            await ada.get("/admin/api/tokens"),
            await ada.get("/admin", headers={"Accept": "text/html"}),
        ):
            assert answer.status_code == 403
            assert answer.json()["error"]["code"] == "insufficient_scope"
    async with client_of(context) as nobody:
        assert (await nobody.get(USERS)).status_code == 401
