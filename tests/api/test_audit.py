"""GET /admin/api/audit: who has changed which provider, for admins."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of
from tests.providers import BOSS, ENVIRONMENT, FIRST, MASKED, PROVIDERS, created

URL = "/admin/api/audit"


@pytest.fixture
async def admin(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    context = make_context(auth={"required": True}, environment=ENVIRONMENT, limits={"rates": None})
    async with client_of(context) as client:
        client.headers.update(BOSS)
        yield client
        await context.access.credentials.finish()


async def listed(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get(URL, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_every_change_is_listed_newest_first_without_secrets(
    admin: httpx.AsyncClient,
) -> None:
    assert await listed(admin) == {"data": [], "total": 0, "limit": 50, "offset": 0}
    made = await created(admin, name="one", api_keys=[FIRST])
    await created(admin, name="two")
    await admin.patch(f"{PROVIDERS}/two", json={"enabled": True})
    await admin.delete(f"{PROVIDERS}/one")
    found = await listed(admin)
    assert [(each["action"], each["name"]) for each in found["data"]] == [
        ("delete", "one"),
        ("update", "two"),
        ("create", "two"),
        ("create", "one"),
    ]
    first = found["data"][-1]
    assert first.keys() == {
        *("id", "created_at", "user", "credential", "action", "kind", "subject", "name"),
        "details",
    }
    assert (first["user"], first["kind"], first["subject"]) == ("api", "provider", made["id"])
    assert first["created_at"].endswith("Z")
    text = (await admin.get(URL)).text
    assert MASKED[FIRST] in text
    assert FIRST not in text


async def test_records_are_filtered_and_paged(admin: httpx.AsyncClient) -> None:
    for number in range(3):
        await created(admin, name=f"p{number}")
    await admin.delete(f"{PROVIDERS}/p1")
    subject = (await listed(admin, name="p1"))["data"][0]["subject"]
    for query, total in (
        ({"action": "create"}, 3),
        ({"action": "delete"}, 1),
        ({"kind": "provider"}, 4),
        ({"kind": "other"}, 0),
        ({"name": "p1"}, 2),
        ({"subject": subject}, 2),
        ({"user": "api"}, 4),
        ({"user": "' OR 1=1 --"}, 0),
        ({"created_after": 4e9}, 0),
        ({"created_before": 4e9}, 4),
    ):
        assert (await listed(admin, **query))["total"] == total, query
    page = await listed(admin, limit=2, offset=1)
    assert [each["name"] for each in page["data"]] == ["p2", "p1"]
    assert (page["total"], page["limit"], page["offset"]) == (4, 2, 1)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("action=look", "action"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("offset=-1", "offset"),
        ("created_after=nan", "created_after"),
    ],
)
async def test_bad_filters(admin: httpx.AsyncClient, query: str, param: str) -> None:
    answer = await admin.get(f"{URL}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_it_is_for_admins(admin: httpx.AsyncClient) -> None:
    inference = {"Coder-Session-Token": "sk-one"}
    assert (await admin.get(URL, headers=inference)).status_code == 403
    assert (await admin.get(URL, headers={"Coder-Session-Token": ""})).status_code == 401
