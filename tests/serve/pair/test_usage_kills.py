"""Whatever process dies, the usage of a finished job is counted once, and of answered chats no more
is lost than docs/usage.md says.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.serve.kills.conftest import Server
from tests.serve.kills.test_kills import ended
from tests.upstreams.replies import chat_body

pytestmark = pytest.mark.slow

CALLERS = 3
LOST_S = 3.0
"""A batch is written every second, and writing takes a moment on a busy machine."""


class Callers:
    """Clients that chat one request after the other until they are told to stop."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._stops = False
        self.asked = 0
        self.answered_at: list[float] = []

    async def chat(self) -> None:
        while not self._stops:
            self.asked += 1
            try:
                answer = await self._http.post(
                    "/v1/chat/completions", json=chat_body("box/echo", "again")
                )
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code == 200:
                self.answered_at.append(time.monotonic())
            await asyncio.sleep(0.02)

    async def answers(self, count: int) -> None:
        """Until there are so many more."""
        wanted = len(self.answered_at) + count
        async with asyncio.timeout(120):
            while len(self.answered_at) < wanted:
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        self._stops = True


@asynccontextmanager
async def calling(http: httpx.AsyncClient) -> AsyncIterator[Callers]:
    callers = Callers(http)
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(callers.chat())
        yield callers
        callers.stop()


async def used(http: httpx.AsyncClient, model: str) -> dict[str, Any]:
    found = await http.get("/admin/api/usage", params={"model": model})
    assert found.status_code == 200, found.text
    totals: dict[str, Any] = found.json()["totals"]
    return totals


async def settled(read: Callable[[], Awaitable[int]]) -> int:
    """The count when it has not changed for several writes."""
    count, same = await read(), 0
    while same < 4:
        await asyncio.sleep(1)
        again = await read()
        count, same = again, same + 1 if again == count else 0
    return count


async def begin_image(http: httpx.AsyncClient, number: int) -> str:
    body = {"model": "box/squares", "prompt": f"dot {number}", "size": "64x64", "async": True}
    answer = await http.post("/v1/images/generations", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize("deployment", ["ingress", "jobs", "upstreams"])
async def test_usage_is_counted_once_through_kills(
    first: Server, http: httpx.AsyncClient, deployment: str
) -> None:
    async def chats() -> int:
        return int((await used(http, "box/echo"))["requests"])

    before, images_before = await settled(chats), (await used(http, "box/squares"))["images"]
    async with calling(http) as callers:
        await callers.answers(20)
        ids = [await begin_image(http, number) for number in range(3)]
        await callers.answers(100)
        killed_at = time.monotonic()
        first.kill_replicas(deployment)
        jobs = [await ended(http, job_id) for job_id in ids]
        await callers.answers(20)
    assert [(job["status"], job["error"]) for job in jobs] == [("succeeded", None)] * 3
    counted = await settled(chats) - before
    assert (await used(http, "box/squares"))["images"] - images_before == 3
    at = callers.answered_at
    lost = sum(killed_at - LOST_S < each <= killed_at for each in at)
    promised = len(at) - (lost if deployment == "ingress" else 0)
    assert promised <= counted <= callers.asked
