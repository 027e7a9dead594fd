"""Clients that leave and processes that die."""

import asyncio
from contextlib import suppress

import httpx

from tests.serve.conftest import kill_replicas, replica_pids, said

LONG = " ".join(f"w{number}" for number in range(1800))


async def first_line(response: httpx.Response) -> str:
    async for line in response.aiter_lines():
        if line:
            return line
    return ""


async def test_leaving_a_stream_frees_the_only_slot(http: httpx.AsyncClient) -> None:
    """The stream would run for minutes; the next request is answered because its place is free."""
    async with http.stream(
        "POST", "/v1/chat/completions", json=said(LONG, "narrow", stream=True)
    ) as response:
        assert (await first_line(response)).startswith("data: {")
    async with asyncio.timeout(90):
        answer = await http.post("/v1/chat/completions", json=said("free", "narrow"))
    assert answer.json()["choices"][0]["message"]["content"] == "free"


async def test_leaving_a_whole_answer_frees_the_only_slot(http: httpx.AsyncClient) -> None:
    task = asyncio.create_task(http.post("/v1/chat/completions", json=said(LONG, "narrow")))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait((task,))
    async with asyncio.timeout(90):
        answer = await http.post("/v1/chat/completions", json=said("free", "narrow"))
    assert answer.json()["choices"][0]["message"]["content"] == "free"


async def test_a_killed_replica_ends_its_requests_and_comes_back(http: httpx.AsyncClient) -> None:
    warm = await http.post("/v1/chat/completions", json=said("hi", "mortal"))
    assert warm.status_code == 200
    (old,) = replica_pids("mortal")
    under_way = asyncio.create_task(http.post("/v1/chat/completions", json=said(LONG, "mortal")))
    await asyncio.sleep(1)
    kill_replicas("mortal")
    failed = await under_way
    assert failed.status_code == 503
    assert failed.json()["error"]["code"] == "backend_unavailable"
    assert int(failed.headers["retry-after"]) >= 1
    async with asyncio.timeout(90):
        answer = await http.post("/v1/chat/completions", json=said("back", "mortal"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "back"
    assert replica_pids("mortal") != [old]


async def test_a_stream_that_dies_ends_in_one_error_frame(http: httpx.AsyncClient) -> None:
    lines = []
    async with http.stream(
        "POST", "/v1/chat/completions", json=said(LONG, "mortal", stream=True)
    ) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if line and not lines:
                kill_replicas("mortal")
            if line:
                lines.append(line)
    assert '"backend_unavailable"' in lines[-1]
    assert "[DONE]" not in lines[-1]


async def test_who_waits_outlives_the_replica(http: httpx.AsyncClient) -> None:
    under_way = asyncio.create_task(http.post("/v1/chat/completions", json=said(LONG, "narrow")))
    await asyncio.sleep(0.5)
    waiting = asyncio.create_task(http.post("/v1/chat/completions", json=said("next", "narrow")))
    await asyncio.sleep(0.5)
    kill_replicas("narrow")
    assert (await under_way).status_code == 503
    answer = await waiting
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "next"


async def test_the_ingress_itself_comes_back(http: httpx.AsyncClient) -> None:
    """Until then requests wait, are refused in the server's own shape, or lose a connection that a
    dying replica had already taken.
    """
    kill_replicas("ingress")
    healthy = 0
    async with asyncio.timeout(90):
        while healthy < 20:
            with suppress(httpx.TransportError):
                answer = await http.get("/v1/health")
                healthy = healthy + 1 if answer.status_code == 200 else 0
                if healthy:
                    assert answer.json()["status"] == "ok"
                else:
                    assert answer.status_code == 503
                    assert answer.json()["error"]["code"] == "backend_unavailable"
            await asyncio.sleep(0.1)
