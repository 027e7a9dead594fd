"""Whatever process dies, every job ends, nothing is lost, and no finished stage is done twice."""

import asyncio
import hashlib
import hmac
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.serve.kills.conftest import SECRET, Server

CLIP = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(100)
STAGES = [*("extract-audio", "transcribe", "translate", "speak", "replace-audio", "burn-subtitles")]
SEGMENTS = 3


async def begin_dub(http: httpx.AsyncClient, **fields: object) -> str:
    """The id of a job of five stages, each of which takes a second or more."""
    upload = await http.post(
        "/v1/files/upload", content=CLIP, headers={"Content-Type": "application/octet-stream"}
    )
    body = {"video": upload.json()["id"], "source_lang": "en", "target_lang": "en", "async": True}
    answer = await http.post("/v1/pipelines/video-dub", json=body | fields)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def begin_speech(http: httpx.AsyncClient, text: str, **fields: object) -> str:
    """The id of a job of one stage, which takes a second."""
    body = {"input": text, "response_format": "url", "async": True}
    answer = await http.post("/v1/audio/speech", json=body | fields)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def ended(http: httpx.AsyncClient, job_id: str, *, within_s: float = 180) -> dict[str, Any]:
    """The finished job. Whoever polls meanwhile never sees an error of the job."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                answer = await http.get(f"/v1/jobs/{job_id}")
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if answer.status_code == 200:
                job: dict[str, Any] = answer.json()
                if job["status"] not in ("queued", "running"):
                    return job
            else:
                # Only a killed ingress is seen, as being away for a moment.
                assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.2)


def check_dubbed(job: dict[str, Any]) -> None:
    assert job["status"] == "succeeded", job["error"]
    assert [(s["name"], s["status"]) for s in job["stages"]] == [(s, "succeeded") for s in STAGES]
    assert job["result"]["data"][0]["url"].startswith("/v1/files/")


async def test_a_pipelines_replica_dies_in_the_middle(
    server: Server, http: httpx.AsyncClient
) -> None:
    job_id = await begin_dub(http)
    await asyncio.to_thread(server.wait_for, "transcribe begins")
    server.kill_replicas("video-dub")
    check_dubbed(await ended(http, job_id))
    assert server.noted("extract_audio begins") == 1
    assert server.noted("replace_audio ends") == 1


async def test_a_familys_replica_dies_under_a_stage(
    server: Server, http: httpx.AsyncClient
) -> None:
    job_id = await begin_dub(http)
    await asyncio.to_thread(server.wait_for, "transcribe begins")
    server.kill_replicas("ears")
    check_dubbed(await ended(http, job_id))
    assert server.noted("extract_audio begins") == 1
    assert server.noted("transcribe begins") == 2
    assert server.noted("transcribe ends") == 1


@pytest.mark.parametrize("only", [1, 2])
async def test_replicas_of_jobs_die(server: Server, http: httpx.AsyncClient, only: int) -> None:
    ids = [await begin_speech(http, f"text {number}") for number in range(4)]
    server.wait_for("speak begins", times=4)
    server.kill_replicas("jobs", only=only)
    jobs = [await ended(http, job_id) for job_id in ids]
    assert [job["status"] for job in jobs] == ["succeeded"] * 4


async def test_who_waits_for_a_job_outlives_its_replica(
    server: Server, http: httpx.AsyncClient
) -> None:
    waiting = asyncio.create_task(
        http.post("/v1/audio/speech", json={"input": "patience", "response_format": "url"})
    )
    await asyncio.to_thread(server.wait_for, "speak begins patience")
    server.kill_replicas("jobs")
    answer = await waiting
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"][0]["url"].startswith("/v1/files/")


async def test_who_leaves_cancels_the_job_that_they_wait_for(
    server: Server, http: httpx.AsyncClient
) -> None:
    upload = await http.post(
        "/v1/files/upload", content=CLIP, headers={"Content-Type": "application/octet-stream"}
    )
    body = {"video": upload.json()["id"], "source_lang": "en", "target_lang": "en", "tag": "left"}
    calling = asyncio.create_task(http.post("/v1/pipelines/video-dub", json=body))
    await asyncio.to_thread(server.wait_for, "transcribe begins")
    calling.cancel()
    (job,) = (await http.get("/v1/jobs", params={"tag": "left"})).json()["data"]
    assert (await ended(http, job["id"]))["status"] == "cancelled"
    await asyncio.sleep(2)
    assert server.noted("transcribe ends") == 0
    assert server.noted("speak begins") == 0


async def test_the_ingress_dies_and_jobs_do_not_notice(
    server: Server, http: httpx.AsyncClient
) -> None:
    job_id = await begin_dub(http)
    await asyncio.to_thread(server.wait_for, "transcribe begins")
    server.kill_replicas("ingress")
    check_dubbed(await ended(http, job_id))
    assert server.noted("transcribe begins") == 1
    assert server.noted("extract_audio begins") == 1


@pytest.mark.slow
async def test_a_locked_database_is_waited_for(server: Server, http: httpx.AsyncClient) -> None:
    job_id = await begin_dub(http)
    await asyncio.to_thread(server.wait_for, "extract_audio begins")
    lock = sqlite3.connect(server.data / "polyphony.sqlite", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    during = asyncio.create_task(begin_speech(http, "while it is locked"))
    await asyncio.sleep(10)
    lock.execute("COMMIT")
    lock.close()
    check_dubbed(await ended(http, job_id))
    assert (await ended(http, await during))["status"] == "succeeded"
    assert server.noted("extract_audio begins") == 1
    assert server.noted("speak begins while it is locked") == 1


class Receiver(BaseHTTPRequestHandler):
    """Fails four times, then takes what it is told."""

    told: list[tuple[bytes, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.told.append((body, self.headers["X-Signature"]))
        self.send_response(204 if len(self.told) == 5 else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[bytes, str]]]]:
    told: list[tuple[bytes, str]] = []
    listening = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("ThisReceiver", (Receiver,), {"told": told})
    )
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}/done", told
    listening.shutdown()
    thread.join()
    listening.server_close()


async def test_a_receiver_that_fails_four_times_is_told_a_fifth_time(
    http: httpx.AsyncClient,
) -> None:
    with receiver() as (url, told):
        job_id = await begin_speech(http, "call me", callback_url=url)
        job = await ended(http, job_id)
        async with asyncio.timeout(90):
            while len(told) < 5:
                await asyncio.sleep(0.1)
        await asyncio.sleep(2)
    assert len(told) == 5
    body, signature = told[-1]
    assert json.loads(body) == job
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert signature == f"sha256={digest}"


@pytest.mark.slow
async def test_the_whole_server_dies_with_a_full_queue(
    server: Server, http: httpx.AsyncClient
) -> None:
    ids = [await begin_speech(http, f"job {n:02}", model="narrow") for n in range(22)]
    server.wait_for("speak begins", times=2)
    listed = (await http.get("/v1/jobs", params={"limit": 500})).json()["data"]
    states = [job["status"] for job in listed if job["id"] in ids]
    assert states.count("queued") >= 18
    server.kill()
    done_before = server.noted("speak ends")
    await asyncio.to_thread(server.start)
    jobs = [await ended(http, job_id) for job_id in ids]
    assert [job["status"] for job in jobs] == ["succeeded"] * 22
    urls = {job["result"]["data"][0]["url"] for job in jobs}
    assert len(urls) == 22
    # Only those that ran when the server died begin again. Of these the engine may have been done:
    # its processes do not all die in the same moment.
    begun, spoken = (
        [server.noted(f"speak {what} job {n:02}") for n in range(22)] for what in ("begins", "ends")
    )
    assert set(begun) <= {1, 2}
    assert begun.count(2) <= 2
    assert all(1 <= ended <= began for began, ended in zip(begun, spoken, strict=True))
    assert done_before < 22
    began = [job["started_at"] for job in jobs]
    assert began == sorted(began)
