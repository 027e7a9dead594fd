"""A job's events through the deaths of who runs it and of who tells of it: no id comes twice."""

import asyncio

import httpx
import pytest

from tests.serve.kills.conftest import Server
from tests.serve.kills.test_kills import begin_dub

pytestmark = pytest.mark.slow


class Watcher:
    """Hears a job's events; when the connection breaks, it comes back with the last id."""

    def __init__(self, http: httpx.AsyncClient, job_id: str) -> None:
        self._http = http
        self._url = f"/v1/jobs/{job_id}/events"
        self.heard: list[tuple[int, str]] = []
        self.connections = 0

    async def hear_all(self) -> None:
        while not self.heard or self.heard[-1][1] != "done":
            last = {"Last-Event-ID": str(self.heard[-1][0])} if self.heard else {}
            try:
                async with self._http.stream("GET", self._url, headers=last) as answer:
                    if answer.status_code == 200:
                        self.connections += 1
                        await self._hear(answer)
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(90):
            while len(self.heard) < count:
                await asyncio.sleep(0.05)

    async def _hear(self, answer: httpx.Response) -> None:
        name = ""
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                self.heard.append((int(value), name))


async def test_ids_never_come_twice_whoever_dies(server: Server, http: httpx.AsyncClient) -> None:
    watcher = Watcher(http, await begin_dub(http))
    async with asyncio.timeout(240):
        hearing = asyncio.create_task(watcher.hear_all())
        await asyncio.to_thread(server.wait_for, "transcribe begins")
        await watcher.wait_for(2)
        server.kill_replicas("ingress")
        await asyncio.to_thread(server.wait_for, "speak begins")
        server.kill_replicas("video-dub")
        await hearing
    ids = [number for number, _ in watcher.heard]
    assert ids == sorted(set(ids))
    assert watcher.connections > 1
    assert watcher.heard[-1][1] == "done"
