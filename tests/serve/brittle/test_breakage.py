"""Engines that raise what no engine should, over both of Serve's transports: gRPC, which the
shipped switches turn on, and Ray's own.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.serve.kills.conftest import Server

BREAKAGES = ("error", "keyword_only", "timeout", "cancelled")
CLIP = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(100)
PATIENCE_S = 120
"""Far below the limit of 600 s up to which a call may wait for its job."""


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=server.url, timeout=PATIENCE_S, trust_env=False
    ) as client:
        yield client


def assert_is_named(error: dict[str, Any], family: str) -> None:
    assert error["code"] == "internal_error"
    assert error["provider"] == family
    assert repr(family) in error["message"]
    assert "failed unexpectedly" in error["message"]
    assert "secret" not in error["message"]


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_a_call_that_answers_once_says_which_family_failed(
    http: httpx.AsyncClient, breakage: str
) -> None:
    answer = await http.post("/v1/embeddings", json={"model": "vectors", "input": breakage})
    assert answer.status_code == 500, answer.text
    assert_is_named(answer.json()["error"], "vectors")


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_a_stream_ends_in_one_frame_that_says_which_family_failed(
    http: httpx.AsyncClient, breakage: str
) -> None:
    body = {"model": "talk", "messages": [{"role": "user", "content": breakage}]}
    whole = await http.post("/v1/chat/completions", json=body)
    assert whole.status_code == 500, whole.text
    assert_is_named(whole.json()["error"], "talk")
    streamed = await http.post("/v1/chat/completions", json={**body, "stream": True})
    assert streamed.status_code == 200
    last = streamed.text.strip().splitlines()[-1]
    assert_is_named(json.loads(last.removeprefix("data: "))["error"], "talk")


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_a_job_fails_at_once_and_says_which_family_failed(
    http: httpx.AsyncClient, breakage: str
) -> None:
    body = {"model": "voice", "input": breakage, "response_format": "url"}
    answer = await http.post("/v1/audio/speech", json={**body, "async": True})
    job = await ended(http, answer.json()["id"])
    assert job["status"] == "failed"
    assert_is_named(job["error"], "voice")
    waited = await http.post("/v1/audio/speech", json=body)
    assert waited.status_code == 500, waited.text
    assert_is_named(waited.json()["error"], "voice")


async def test_a_stage_of_a_pipeline_that_is_cancelled_by_nobody_fails(
    http: httpx.AsyncClient,
) -> None:
    upload = await http.post(
        "/v1/files/upload", content=CLIP, headers={"Content-Type": "application/octet-stream"}
    )
    body = {"video": upload.json()["id"], "language": "en", "model": "deaf"}
    answer = await http.post("/v1/video/subtitle", json=body)
    assert answer.status_code == 500, answer.text
    assert_is_named(answer.json()["error"], "deaf")
    assert "'transcribe'" in answer.json()["error"]["message"]


async def test_a_job_that_outlives_its_client_is_not_disturbed(
    server: Server, http: httpx.AsyncClient
) -> None:
    """Serve cancels what was called for a request whose client is gone."""
    body = {"model": "slow", "input": "patience", "response_format": "url", "tag": "left"}
    leaving = asyncio.create_task(http.post("/v1/audio/speech", json=body))
    await asyncio.to_thread(server.wait_for, "speak begins")
    leaving.cancel()
    await asyncio.wait((leaving,))
    (listed,) = (await http.get("/v1/jobs", params={"tag": "left"})).json()["data"]
    job = await ended(http, listed["id"])
    assert job["status"] == "succeeded", job["error"]
    assert server.noted("speak begins") == 1


async def ended(http: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            job: dict[str, Any] = (await http.get(f"/v1/jobs/{job_id}")).json()
            if job["status"] not in ("queued", "running"):
                return job
            await asyncio.sleep(0.1)
