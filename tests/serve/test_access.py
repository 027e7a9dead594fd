"""Credentials over two ingress replicas behind Serve's proxy."""

import asyncio

import httpx

from tests.serve.conftest import ADMIN_TOKEN

BOSS = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
REQUESTS = 16
"""So many on connections of their own reach both replicas."""


async def statuses(base_url: str, token: str) -> set[int]:
    async def ask() -> int:
        async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=120) as client:
            return (await client.get("/v1/models", headers={"X-Api-Key": token})).status_code

    return {await ask() for _ in range(REQUESTS)}


async def test_a_token_begins_and_ends_on_every_replica(
    http: httpx.AsyncClient, base_url: str
) -> None:
    made = (await http.post("/admin/api/tokens", json={"name": "x"}, headers=BOSS)).json()
    await asyncio.sleep(1)
    assert await statuses(base_url, made["token"]) == {200}
    await http.delete(f"/admin/api/tokens/{made['id']}", headers=BOSS)
    async with asyncio.timeout(90):
        while await statuses(base_url, made["token"]) != {401}:
            await asyncio.sleep(0.2)


async def test_the_environments_tokens_are_in_the_one_store(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/admin/api/tokens", headers=BOSS)).json()
    assert {each["source"] for each in listed if each["owner"] == "api"} >= {"environment"}
    assert (await http.get("/admin/api/tokens")).status_code == 403


async def test_invented_addresses_do_not_escape_the_throttle(base_url: str) -> None:
    """Serve's proxy says whom it speaks for; what the client says of itself does not count."""
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=120) as client:
        answers = [
            await client.post(
                "/admin/api/login",
                json={"username": f"guess-{i}", "password": "no"},
                headers={"X-Forwarded-For": f"203.0.113.{i}"},
            )
            for i in range(6)
        ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_serves_proxy_opens_no_other_way_in(base_url: str) -> None:
    """The proxy passes a path on as it came."""
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=120) as client:
        for path in ("/admin", "/metrics", "/admin/api/tokens"):
            assert (await client.get(path)).status_code == 401
            for odd in (f"{path}%0A", f"{path}%0D"):
                assert (await client.get(odd)).status_code == 400
                assert (await client.get(odd, headers=BOSS)).status_code == 400
            for odd in (f"{path}%00", f"/{path}", f"/x/..%2F{path}", f"{path}/", path.title()):
                assert (await client.get(odd)).status_code == 401


async def test_a_provider_is_the_same_on_every_replica(
    http: httpx.AsyncClient, base_url: str
) -> None:
    """With its keys, which each of them can decrypt, and as it is after a change."""
    place = "/api/v2/ai/providers"
    sent = {"type": "openai", "name": "there", "base_url": "http://127.0.0.1:1"}
    answer = await http.post(place, json=sent | {"api_keys": ["sk-one", "sk-two"]}, headers=BOSS)
    assert answer.status_code == 201, answer.text

    async def seen(path: str) -> list[httpx.Response]:
        answers = []
        for _ in range(REQUESTS):
            async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=120) as each:
                answers.append(await each.get(f"{place}{path}", headers=BOSS))
        return answers

    assert all(each.json() == answer.json() for each in await seen("/there"))
    answer = await http.patch(f"{place}/there", json={"enabled": True}, headers=BOSS)
    assert all(each.json() == answer.json() for each in await seen("/there"))
    assert (await http.delete(f"{place}/there", headers=BOSS)).status_code == 204
    assert {each.status_code for each in await seen("/there")} == {404}
