"""Two apps over one database, as two ingress replicas are: what one does, the other sees."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve_app.api.context import Context
from tests.api.conftest import MakeContext, client_of

ENVIRONMENT = {"ADMIN_TOKEN": "sk-boss", "API_TOKENS": "sk-one"}
BOSS = {"Authorization": "Bearer sk-boss"}
SEEN_WITHIN_S = 5.0


def replica(make_context: MakeContext, **environment: str) -> Context:
    return make_context(
        auth={"required": True},
        environment=environment or ENVIRONMENT,
        limits={"rates": None},
    )


@pytest.fixture
async def replicas(
    make_context: MakeContext,
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    contexts = [replica(make_context) for _ in range(2)]
    async with client_of(contexts[0]) as here, client_of(contexts[1]) as there:
        yield here, there
        for context in contexts:
            await context.access.credentials.finish()


async def create(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/admin/api/tokens", json={"name": "x"} | body, headers=BOSS)
    made: dict[str, Any] = answer.json()
    return made


async def status_with(client: httpx.AsyncClient, token: str) -> int:
    return (await client.get("/v1/models", headers={"X-Api-Key": token})).status_code


async def within_five_seconds(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Ask until the answer is 401; fails when it is not after 5 s."""
    async with asyncio.timeout(SEEN_WITHIN_S):
        while (await client.get("/v1/models", headers=headers)).status_code != 401:
            await asyncio.sleep(0.1)


async def test_a_token_made_here_works_there(
    replicas: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    here, there = replicas
    assert await status_with(there, "sk-one") == 200
    made = await create(here)
    assert await status_with(here, made["token"]) == 200
    await asyncio.sleep(0.5)
    assert await status_with(there, made["token"]) == 200


async def test_a_token_revoked_here_ends_there_within_five_seconds(
    replicas: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    here, there = replicas
    made = await create(here)
    assert await status_with(there, made["token"]) == 200
    await here.delete(f"/admin/api/tokens/{made['id']}", headers=BOSS)
    assert await status_with(here, made["token"]) == 401
    await within_five_seconds(there, {"X-Api-Key": made["token"]})


async def test_an_idle_replica_looks_before_it_lets_anybody_in(
    replicas: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    here, there = replicas
    made = await create(here)
    assert await status_with(there, made["token"]) == 200
    await here.delete(f"/admin/api/tokens/{made['id']}", headers=BOSS)
    await asyncio.sleep(SEEN_WITHIN_S)
    assert await status_with(there, made["token"]) == 401


async def test_a_session_signed_out_here_ends_there_within_five_seconds(
    replicas: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    here, there = replicas
    user = {"username": "ada", "password": "correct horse", "must_change_password": False}
    await here.post("/admin/api/users", json=user, headers=BOSS)
    await here.post("/admin/api/login", json=user)
    cookie = {"Cookie": f"session_8000={here.cookies['session_8000']}"}
    assert (await there.get("/v1/models", headers=cookie)).status_code == 200
    await here.get("/logout")
    await within_five_seconds(there, cookie)


async def test_failed_sign_ins_are_counted_over_all_replicas(
    replicas: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    body = {"username": "ada", "password": "no"}
    statuses = [
        (await client.post("/admin/api/login", json=body)).status_code for client in replicas * 3
    ]
    assert statuses == [401] * 5 + [429]


async def test_tokens_that_the_environment_no_longer_names_end_with_the_restart(
    make_context: MakeContext,
) -> None:
    first = replica(make_context)
    async with client_of(first) as client:
        assert await status_with(client, "sk-one") == 200
        made = await create(client)
    second = replica(make_context, ADMIN_TOKEN="sk-boss", API_TOKENS="sk-two")
    async with client_of(second) as client:
        assert await status_with(client, "sk-one") == 401
        assert await status_with(client, "sk-two") == 200
        assert await status_with(client, made["token"]) == 200
        listed = (await client.get("/admin/api/tokens", headers=BOSS)).json()
        assert [each["source"] for each in listed] == ["environment", "store", "environment"]
    for context in (first, second):
        await context.access.credentials.finish()


async def test_known_tokens_cost_no_read_of_the_database(make_context: MakeContext) -> None:
    context = replica(make_context)
    async with client_of(context) as client:
        assert await status_with(client, "sk-one") == 200
        await context.access.credentials.finish()
        context.database.close()
        for _ in range(20):
            assert await status_with(client, "sk-one") == 200
