"""/admin/api/tokens: made, listed masked, revoked at once, and hard to break."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of

ENVIRONMENT = {"API_TOKENS": "sk-environment-token-one", "ADMIN_TOKEN": "sk-boss"}
TOKENS = "/admin/api/tokens"
KEYS = {
    "id",
    "name",
    "provider",
    "token",
    "prefix",
    "scopes",
    "owner",
    "created_at",
    "last_used",
    "expires_at",
    "source",
    "budget",
}
JSON = {"Content-Type": "application/json"}
INJECTIONS = [
    "' OR '1'='1",
    "x'); DROP TABLE tokens; --",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "{{7*7}}${7*7}",
    "%00%0a",
    "\uff41dmin",
]


@pytest.fixture
async def boss(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator by token."""
    unlimited = {"rates": None}
    context = make_context(auth={"required": True}, environment=ENVIRONMENT, limits=unlimited)
    async with client_of(context) as client:
        client.headers["Authorization"] = "Bearer sk-boss"
        yield client
        await context.access.credentials.finish()


async def create(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(TOKENS, json={"name": "mine"} | body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def status_with(client: httpx.AsyncClient, token: str, path: str = "/v1/models") -> int:
    return (await client.get(path, headers={"Authorization": f"Bearer {token}"})).status_code


@pytest.mark.covers("CoderAI: GET and POST /admin/api/tokens")
async def test_a_token_is_shown_once_and_then_masked(boss: httpx.AsyncClient) -> None:
    made = await create(boss)
    assert set(made) == KEYS
    token = made["token"]
    assert (made["name"], made["provider"], made["scopes"]) == ("mine", "openai", ["inference"])
    assert (made["owner"], made["source"]) == ("api", "store")
    assert (made["last_used"], made["expires_at"]) == (None, None)
    assert token.startswith(made["prefix"])
    listed = (await boss.get(TOKENS)).json()
    assert [each["id"] for each in listed] == sorted(each["id"] for each in listed)
    (own,) = [each for each in listed if each["id"] == made["id"]]
    assert own["token"] == f"{token[:7]}…{token[-4:]}"
    assert own == made | {"token": own["token"]}
    assert token not in (await boss.get("/admin/tokens")).text


async def test_times_are_rfc_3339_in_utc(boss: httpx.AsyncClient) -> None:
    before = int(time.time())
    made = await create(boss, expires_in_days=1)
    created, expires = (datetime.fromisoformat(made[key]) for key in ("created_at", "expires_at"))
    assert made["created_at"].endswith("Z")
    assert created.tzinfo == UTC
    assert before <= created.timestamp() <= time.time()
    assert expires - created == timedelta(days=1)


async def test_a_token_works_at_once_and_ends_at_once(boss: httpx.AsyncClient) -> None:
    made = await create(boss)
    assert await status_with(boss, made["token"]) == 200
    answer = await boss.delete(f"{TOKENS}/{made['id']}")
    assert answer.json() == {"success": True}
    assert await status_with(boss, made["token"]) == 401
    assert (await boss.delete(f"{TOKENS}/{made['id']}")).status_code == 404


async def test_one_changed_character_makes_it_unknown(boss: httpx.AsyncClient) -> None:
    token = (await create(boss))["token"]
    for position in (0, 3, 30, len(token) - 1):
        other = "0" if token[position] != "0" else "1"
        changed = token[:position] + other + token[position + 1 :]
        assert await status_with(boss, changed) == 401
    for changed in (token[:-1], token + "0", token.upper(), token[:7], f"{token},sk-boss"):
        assert await status_with(boss, changed) == 401
    assert await status_with(boss, token) == 200


async def test_the_scope_of_a_token_is_its_limit(boss: httpx.AsyncClient) -> None:
    plain, admin = await create(boss), await create(boss, scopes=["admin", "inference"])
    assert await status_with(boss, plain["token"], TOKENS) == 403
    assert await status_with(boss, admin["token"], TOKENS) == 200
    assert await status_with(boss, admin["token"]) == 200
    only_admin = await create(boss, scopes=["admin"])
    assert await status_with(boss, only_admin["token"]) == 200


async def test_the_last_use_is_told(boss: httpx.AsyncClient, make_context: MakeContext) -> None:
    made = await create(boss)
    assert await status_with(boss, made["token"]) == 200
    for _ in range(100):
        listed = (await boss.get(TOKENS)).json()
        (own,) = [each for each in listed if each["id"] == made["id"]]
        if own["last_used"] is not None:
            break
    assert own["last_used"] >= made["created_at"]


async def test_ids_are_never_used_again(boss: httpx.AsyncClient) -> None:
    first = (await create(boss))["id"]
    await boss.delete(f"{TOKENS}/{first}")
    assert (await create(boss))["id"] > first


async def test_tokens_of_the_environment_are_listed_and_cannot_be_deleted(
    boss: httpx.AsyncClient,
) -> None:
    listed = (await boss.get(TOKENS)).json()
    assert [each["source"] for each in listed] == ["environment", "environment"]
    assert [each["scopes"] for each in listed] == [["inference"], ["inference", "admin"]]
    assert {each["owner"] for each in listed} == {"api"}
    assert "sk-environment-token-one" not in str(listed)
    for each in listed:
        answer = await boss.delete(f"{TOKENS}/{each['id']}")
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "conflict"
    assert len((await boss.get(TOKENS)).json()) == 2


async def test_an_expired_token_is_unknown(
    boss: httpx.AsyncClient, make_context: MakeContext
) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    made = await create(boss, expires_at=soon)
    await asyncio.sleep(1.1)
    assert await status_with(boss, made["token"]) == 401
    assert made["id"] in [each["id"] for each in (await boss.get(TOKENS)).json()]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 7}, "name"),
        ({"name": "line\nbreak"}, "name"),
        ({"name": "zero\0byte"}, "name"),
        ({"name": "half \ud800"}, "name"),
        ({"name": "x", "scopes": ["root"]}, "scopes[0]"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": "admin"}, "scopes"),
        ({"name": "x", "scopes": ["admin"] * 1000}, "scopes"),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "x", "expires_at": 4102444800}, "expires_at"),
        ({"name": "x", "expires_in_days": 0}, "expires_in_days"),
        ({"name": "x", "expires_in_days": 3651}, "expires_in_days"),
        ({"name": "x", "expires_in_days": "7"}, "expires_in_days"),
        ({"name": "x", "expires_in_days": 1, "expires_at": "2999-01-01T00:00:00Z"}, None),
        ({"name": "x", "user": "nobody-of-that-name"}, "user"),
        ({"name": "x", "user": "anonymous"}, "user"),
        ({"name": "x", "provider": ""}, "provider"),
    ],
)
async def test_wrong_bodies(
    boss: httpx.AsyncClient, body: dict[str, Any], param: str | None
) -> None:
    before = len((await boss.get(TOKENS)).json())
    answer = await boss.post(TOKENS, content=json.dumps(body), headers=JSON)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "invalid_request"
    assert param is None or error["param"] == param
    assert len((await boss.get(TOKENS)).json()) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 5000])
async def test_bodies_that_are_no_object(boss: httpx.AsyncClient, content: bytes) -> None:
    answer = await boss.post(TOKENS, content=content, headers=JSON)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "id",
    ["0", "-1", "999", "9" * 18, "9" * 30, "1.0", "1e3", "x", "٣", "1%20OR%201=1", "%00", "..%2f1"],
)
async def test_unknown_ids(boss: httpx.AsyncClient, id: str) -> None:
    answer = await boss.delete(f"{TOKENS}/{id}")
    assert answer.status_code == 404, answer.text
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("text", INJECTIONS)
async def test_labels_are_text_and_nothing_else(boss: httpx.AsyncClient, text: str) -> None:
    made = await create(boss, name=text, provider=text)
    assert (made["name"], made["provider"]) == (text, text)
    listed = (await boss.get(TOKENS)).json()
    assert [each["name"] for each in listed if each["id"] == made["id"]] == [text]
    page = (await boss.get("/admin/tokens")).text
    assert "<script>" not in page
    answer = await boss.post(TOKENS, json={"name": "x", "user": text})
    assert answer.status_code == 400
    assert await status_with(boss, text.encode("ascii", "ignore").decode()) == 401


async def test_every_string_of_ten_thousand_characters_is_refused(boss: httpx.AsyncClient) -> None:
    for field in ("name", "provider", "user", "expires_at"):
        answer = await boss.post(TOKENS, json={"name": "x"} | {field: "x" * 10_000})
        assert answer.status_code == 400


async def test_the_far_future_can_be_shown(boss: httpx.AsyncClient) -> None:
    made = await create(boss, expires_at="9999-12-31T23:59:59-12:00")
    assert datetime.fromisoformat(made["expires_at"]) > datetime.now(UTC)
    assert (await boss.get(TOKENS)).status_code == 200


async def test_a_token_belongs_to_the_user_it_is_made_for(boss: httpx.AsyncClient) -> None:
    await boss.post("/admin/api/users", json={"username": "ada", "password": "correct horse"})
    made = await create(boss, user="ada")
    assert made["owner"] == "ada"
    answer = await boss.get("/admin/api/session", headers={"Authorization": made["token"]})
    assert answer.status_code == 401
    answer = await boss.get(
        "/admin/api/session", headers={"Authorization": f"Bearer {made['token']}"}
    )
    assert answer.json() == {
        "username": "ada",
        "role": "user",
        "scopes": ["inference"],
        "expires_at": None,
        "csrf_token": None,
    }
