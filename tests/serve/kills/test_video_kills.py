"""Videos whose processes die at every stage are made all the same, and no finished one twice."""

import asyncio

import httpx
import pytest

from tests.serve.kills.conftest import Server
from tests.serve.kills.test_kills import ended

pytestmark = pytest.mark.slow

# The still, then each of the two videos, takes a second.
BODY = {
    "prompt": "a red boat",
    "width": 64,
    "height": 48,
    "num_frames": 5,
    "n": 2,
    "seed": 5,
    "keyframe_identity": "always",
    "async": True,
}


@pytest.mark.parametrize(
    ("killed", "line", "times", "done"),
    [
        ("video-generation", "text_to_image begins", 1, {}),
        ("video-generation", "generate_video begins", 1, {"text_to_image begins": 1}),
        (
            "video-generation",
            "generate_video begins",
            2,
            {"text_to_image begins": 1, "generate_video ends": 2},
        ),
        (
            "camera",
            "generate_video begins",
            2,
            {"text_to_image begins": 1, "generate_video ends": 2},
        ),
        ("painter", "text_to_image begins", 1, {"generate_video begins": 2}),
    ],
)
async def test_a_replica_dies_under_a_stage(
    server: Server,
    http: httpx.AsyncClient,
    killed: str,
    line: str,
    times: int,
    done: dict[str, int],
) -> None:
    answer = await http.post("/v1/video/generations", json=BODY)
    assert answer.status_code == 202, answer.text
    await asyncio.to_thread(server.wait_for, line, times)
    server.kill_replicas(killed)
    job = await ended(http, answer.json()["id"])
    assert job["status"] == "succeeded", job["error"]
    assert [(stage["name"], stage["status"]) for stage in job["stages"]] == [
        ("picture", "succeeded"),
        ("generate-1", "succeeded"),
        ("generate-2", "succeeded"),
    ]
    assert [item["seed"] for item in job["result"]["data"]] == [5, 6]
    for noted, count in done.items():
        assert server.noted(noted) == count, noted
