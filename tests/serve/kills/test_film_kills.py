"""Videos of prompts, and videos that are finished, whose processes die at every stage: they are
made all the same, and no finished stage is done again.
"""

import asyncio
from typing import Any

import httpx
import pytest

from tests.serve.kills.conftest import Server
from tests.serve.kills.test_kills import ended

pytestmark = pytest.mark.slow

PROMPT = {
    "prompt": "a red boat",
    "image_size": "64x64",
    "num_frames": 17,
    "upscale_output": True,
    "add_audio": True,
    "audio_type": "speech",
    "audio_prompt": "ahoy",
    "async": True,
}
VIDEO = {
    "prompt": "a red boat",
    "width": 64,
    "height": 64,
    "num_frames": 17,
    "interpolate_output": True,
    "dialogs": [{"text": "ahoy", "lip_sync": False, "lang": "de"}],
    "dub_video": True,
    "dub_target_lang": "de",
    "generate_subtitles": True,
    "burn_subtitles": True,
    "convert_to_3d": True,
    "async": True,
}


async def begin(http: httpx.AsyncClient, route: str, body: dict[str, object]) -> str:
    answer = await http.post(f"/v1/{route}", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def survived(
    server: Server, http: httpx.AsyncClient, job_id: str, kills: list[tuple[str, str, int]]
) -> dict[str, Any]:
    """The job that ended well, though replicas died under it one after the other: each as soon as
    its line was noted so often.
    """
    for killed, line, times in kills:
        await asyncio.to_thread(server.wait_for, line, times)
        server.kill_replicas(killed)
    job = await ended(http, job_id)
    assert job["status"] == "succeeded", job["error"]
    assert {stage["status"] for stage in job["stages"]} == {"succeeded"}
    assert [warning for warning in job["warnings"] if "left out" in warning] == []
    return job


async def test_a_video_of_a_prompt(server: Server, http: httpx.AsyncClient) -> None:
    job_id = await begin(http, "pipelines/image-to-video", PROMPT)
    verbs = ("text_to_image", "generate_video", "upscale_video", "speak", "replace_audio")
    kills = [("image-to-video", f"{verb} begins", 1) for verb in verbs]
    kills.insert(3, ("large", "upscale_video begins", 2))
    job = await survived(server, http, job_id, kills)
    names = [stage["name"] for stage in job["stages"]]
    assert names == ["image", "video", "upscale", "speak", "add-sound"]
    [item] = job["result"]["data"]
    assert item.keys() == {"url", "image_url"}
    # Each is begun again once for every death under it, and not for those under later ones.
    begun = {verb: server.noted(f"{verb} begins") for verb in verbs}
    assert begun == dict.fromkeys(verbs, 2) | {"upscale_video": 3}


async def test_a_video_that_is_finished(server: Server, http: httpx.AsyncClient) -> None:
    job_id = await begin(http, "video/generations", VIDEO)
    pipeline = "video-generation"
    kills = [
        (pipeline, "interpolate begins", 1),
        (pipeline, "extract_audio begins", 1),
        (pipeline, "burn_subtitles begins", 1),
        ("media", "burn_subtitles begins", 2),
        (pipeline, "convert_to_stereo begins", 1),
        ("deep", "convert_to_stereo begins", 2),
    ]
    job = await survived(server, http, job_id, kills)
    names = [stage["name"] for stage in job["stages"]]
    assert names == [
        *("generate", "interpolate", "speak", "add-sound", "dub", "subtitle", "burn-subtitles"),
        "stereo",
    ]
    [item] = job["result"]["data"]
    assert "ahoy" in (await http.get(item["subtitles_url"])).text
    begun = ("generate_video", "interpolate", "extract_audio", "burn_subtitles")
    assert [server.noted(f"{verb} begins") for verb in begun] == [1, 2, 2, 3]
    assert server.noted("convert_to_stereo begins") == 3
