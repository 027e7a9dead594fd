"""Subtitling whose process dies at every stage ends well, and no finished stage is done again."""

import asyncio

import httpx
import pytest

from tests.serve.kills.conftest import Server
from tests.serve.kills.test_kills import CLIP, ended

pytestmark = pytest.mark.slow

VERBS = ("extract_audio", "transcribe", "burn_subtitles")


@pytest.mark.parametrize("place", range(len(VERBS)))
async def test_the_pipelines_replica_dies_under_a_stage(
    server: Server, http: httpx.AsyncClient, place: int
) -> None:
    upload = await http.post(
        "/v1/files/upload", content=CLIP, headers={"Content-Type": "application/octet-stream"}
    )
    body = {"video": upload.json()["id"], "language": "en", "burn": True, "async": True}
    answer = await http.post("/v1/video/subtitle", json=body)
    assert answer.status_code == 202, answer.text
    await asyncio.to_thread(server.wait_for, f"{VERBS[place]} begins")
    server.kill_replicas("video-subtitle")
    job = await ended(http, answer.json()["id"])
    assert job["status"] == "succeeded", job["error"]
    assert {stage["status"] for stage in job["stages"]} == {"succeeded"}
    for verb in VERBS[:place]:
        assert server.noted(f"{verb} begins") == 1
