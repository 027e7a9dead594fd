"""A server that is killed in the middle of its pipelines' jobs and started again days later: the
sweep at its start leaves what their finished stages have made.
"""

import asyncio
import os
import sqlite3
import time
from pathlib import Path

import httpx
import pytest

from tests.serve.kills.conftest import Server
from tests.serve.kills.test_kills import begin_dub, ended
from tests.serve.kills.test_story_kills import begin as begin_story

pytestmark = pytest.mark.slow

WEEKEND_S = 3 * 24 * 3600.0
VIDEO = {"prompt": "a boat", "image_size": "64x64", "num_frames": 17, "upscale_output": True}


def blobs_of(server: Server) -> set[Path]:
    return set((server.data / "blobs").glob("??/*.*"))


def held(server: Server) -> set[str]:
    """The hashes of what running jobs hold for their stages."""
    with sqlite3.connect(server.data / "polyphony.sqlite") as database:
        rows = database.execute("SELECT sha256 FROM blob_references WHERE holder LIKE 'stages:%'")
        return {str(sha256) for (sha256,) in rows}


async def swept(server: Server, stale: Path) -> None:
    """Until the sweep at the start has gone round, which takes what nobody holds."""
    async with asyncio.timeout(90):
        while stale.exists():
            await asyncio.sleep(0.1)


async def test_jobs_of_every_kind_go_on_after_a_weekend(
    server: Server, http: httpx.AsyncClient
) -> None:
    video = await http.post("/v1/pipelines/image-to-video", json=VIDEO | {"async": True})
    ids = [str(video.json()["id"]), await begin_story(http), await begin_dub(http)]
    for line in ("upscale_video begins", "generate_video begins", "transcribe begins"):
        await asyncio.to_thread(server.wait_for, line)
    server.kill()
    made = held(server)
    assert len(made) >= 4, "images of two pipelines, a clip, an audio track"
    # The last folder that a sweep comes to.
    stale = server.data / "blobs" / "ff" / f"{'f' * 64}.png"
    stale.parent.mkdir(exist_ok=True)
    stale.write_bytes(b"nobody's")
    then = time.time() - WEEKEND_S
    before = blobs_of(server)
    for path in before:
        os.utime(path, (then, then))
    await asyncio.to_thread(server.start)
    await swept(server, stale)
    stored = {path.stem for path in blobs_of(server)}
    # A job that has ended meanwhile needs nothing any more.
    assert stored >= made & held(server)
    jobs = [await ended(http, job_id) for job_id in ids]
    assert [(job["status"], job["error"]) for job in jobs] == [("succeeded", None)] * 3
    [item] = jobs[0]["result"]["data"]
    [told] = jobs[1]["result"]["data"]
    for url in (item["url"], item["image_url"], told["film_url"], *told["image_urls"]):
        assert (await http.get(url)).status_code == 200
    assert held(server) == set()
