"""A story whose processes die at every stage ends well, and no finished stage is done again."""

import asyncio

import httpx
import pytest

from tests.serve.kills.conftest import Server
from tests.serve.kills.test_kills import ended

pytestmark = pytest.mark.slow

TALE = "A fox finds a lantern. It goes home. The forest glows."
STORY = {"story": TALE, "image_size": "64x64", "num_frames": 5, "async": True}
BEGINS = ("text_to_image", "speak", "generate_video", "assemble_video")


async def begin(http: httpx.AsyncClient) -> str:
    answer = await http.post("/v1/pipelines/story", json=STORY)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize(
    ("verb", "finished"),
    [
        ("text_to_image", {}),
        ("speak", {}),
        ("generate_video", {"text_to_image": 3, "speak": 3}),
        ("assemble_video", {"text_to_image": 3, "speak": 3, "generate_video": 1}),
    ],
)
async def test_the_pipelines_replica_dies_under_a_stage(
    server: Server, http: httpx.AsyncClient, verb: str, finished: dict[str, int]
) -> None:
    job_id = await begin(http)
    await asyncio.to_thread(server.wait_for, f"{verb} begins")
    server.kill_replicas("story")
    job = await ended(http, job_id)
    assert job["status"] == "succeeded", job["error"]
    assert {stage["status"] for stage in job["stages"]} == {"succeeded"}
    [item] = job["result"]["data"]
    assert len(item["image_urls"]) == 3
    assert item["film_url"]
    for done, times in finished.items():
        assert server.noted(f"{done} begins") == times


@pytest.mark.parametrize(
    ("family", "verb"), [("painter", "text_to_image"), ("camera", "generate_video")]
)
async def test_a_familys_replica_dies_under_a_stage(
    server: Server, http: httpx.AsyncClient, family: str, verb: str
) -> None:
    job_id = await begin(http)
    await asyncio.to_thread(server.wait_for, f"{verb} begins")
    server.kill_replicas(family)
    job = await ended(http, job_id)
    assert job["status"] == "succeeded", job["error"]
    [item] = job["result"]["data"]
    assert len(item["image_urls"]) == 3
    assert item["video_url"]
    assert job["warnings"] == [w for w in job["warnings"] if "script" in w]
