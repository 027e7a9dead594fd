"""The official SDK, whose patience is shorter than the work: it repeats its calls, and the work is
done once.
"""

import asyncio

import httpx
import openai
import pytest

from tests.serve.kills.conftest import DELAY_S, Server
from tests.serve.kills.test_kills import ended

IMAGE = {"model": "painter", "prompt": "a boat"}


@pytest.mark.parametrize(
    "names",
    [
        {"extra_body": {"ref_id": "named"}},
        {"extra_headers": {"Idempotency-Key": "a key"}},
    ],
)
async def test_an_impatient_sdk_gets_its_image(
    server: Server, http: httpx.AsyncClient, names: dict[str, dict[str, str]]
) -> None:
    client = openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="none", timeout=0.7 * DELAY_S, max_retries=9
    )
    async with client:
        answer = await client.images.with_raw_response.generate(
            model="painter", prompt="a boat", **names
        )
    image = answer.parse()
    assert image.data
    job_id = answer.headers["x-job-id"]
    assert (await ended(http, job_id))["status"] == "succeeded"
    assert int(answer.http_request.headers["x-stainless-retry-count"]) >= 1
    assert server.noted("text_to_image begins") == 1
    assert server.noted("text_to_image ends") == 1


async def test_repetitions_join_whichever_process_has_died(
    server: Server, http: httpx.AsyncClient
) -> None:
    before = (await http.get("/v1/jobs")).json()["total"]
    key = {"Idempotency-Key": "kept through kills"}
    first = asyncio.create_task(http.post("/v1/images/generations", json=IMAGE, headers=key))
    await asyncio.to_thread(server.wait_for, "text_to_image begins")
    server.kill_replicas("ingress")
    await asyncio.gather(first, return_exceptions=True)
    server.kill_replicas("jobs")
    async with asyncio.timeout(90):
        while True:
            try:
                again = await http.post("/v1/images/generations", json=IMAGE, headers=key)
            except httpx.TransportError:
                continue
            if again.status_code == 200:
                break
            assert again.status_code == 503, again.text
            await asyncio.sleep(0.2)
    after = (await http.get("/v1/jobs")).json()["total"]
    assert after == before + 1
    assert server.noted("text_to_image ends") == 1
