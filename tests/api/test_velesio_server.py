"""Velesio's health, models, queue and rates."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from serve_app.core.status import ModelStatus
from serve_app.core.text.chat import ChatDelta, ChatEvent, Usage
from serve_app.database.connection import Database
from serve_app.jobs.reader import JobReader
from serve_app.jobs.store import JobStore
from tests.api.conftest import FAMILIES, MakeContext, client_of

TOKENS = {"API_TOKENS": "sk-one,sk-two", "ADMIN_TOKEN": "sk-admin"}
ONE = {"Authorization": "Bearer sk-one"}
IMAGE = {"prompt": "a boat", "size": "64x64"}


class Waiting:
    """A text model that answers when it is let."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.has_begun = asyncio.Event()

    async def complete(self, request: Any) -> AsyncIterator[ChatEvent]:
        self.has_begun.set()
        await self.may_go_on.wait()
        yield ChatDelta(finish_reason="stop")
        yield Usage(prompt_tokens=1, completion_tokens=0)


def ready(name: str, **more: Any) -> ModelStatus:
    return ModelStatus(id=name, state="ready", **more)


async def health(make_context: MakeContext, **sections: Any) -> httpx.Response:
    async with client_of(make_context(**sections)) as client:
        return await client.get("/health")


@pytest.mark.covers("Velesio: GET /health")
async def test_health(client: httpx.AsyncClient) -> None:
    for method in ("GET", "POST"):
        answer = await client.request(method, "/health")
        assert answer.status_code == 200
        body = answer.json()
        assert body.keys() == {"status", "timestamp", "version", "services"}
        assert body["status"] == "healthy"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])
        workers = {"llm_worker": "ready", "sd_worker": "ready"}
        assert body["services"] == {"redis": "connected"} | workers
    assert (await client.head("/health")).status_code == 200


@pytest.mark.parametrize(
    ("statuses", "left", "status", "llm", "sd"),
    [
        ([ready("echo", requests=2)], None, "healthy", "busy", "ready"),
        ([ModelStatus(id="echo", state="loading")], None, "healthy", "loading", "ready"),
        ([ModelStatus(id="squares", state="failed")], None, "degraded", "ready", "offline"),
        ([], {"chat", "vision"}, "healthy", "disabled", "ready"),
        (
            [ModelStatus(id="squares", state="failed")],
            {"chat", "vision"},
            "unhealthy",
            "disabled",
            "offline",
        ),
    ],
)
async def test_health_of_workers(
    make_context: MakeContext,
    statuses: list[ModelStatus],
    left: set[str] | None,
    status: str,
    llm: str,
    sd: str,
) -> None:
    families = [family for family in FAMILIES if family["name"] not in (left or set())]
    known = {each.id: each for each in statuses}
    answer = await health(make_context, statuses=known, families=families)
    assert answer.status_code == (503 if status == "unhealthy" else 200)
    assert answer.json()["status"] == status
    services = answer.json()["services"]
    assert (services["llm_worker"], services["sd_worker"]) == (llm, sd)


async def test_health_without_the_store(make_context: MakeContext, tmp_path: Path) -> None:
    lost = Database(f"sqlite:///{tmp_path}/nowhere/polyphony.sqlite", patience_s=0)
    context = replace(make_context(), job_store=cast("JobStore", JobReader(lost)))
    async with client_of(context) as client:
        answer = await client.get("/health")
    lost.close()
    assert answer.status_code == 503
    assert answer.json()["status"] == "unhealthy"
    assert answer.json()["services"]["redis"] == "disconnected"


@pytest.mark.covers("Velesio: GET /models")
async def test_models(make_context: MakeContext) -> None:
    named = [
        family | {"models": [{"id": "Qwen/Qwen3-0.6B"}, {"id": "SmolLM2-135M-Instruct"}]}
        if family["name"] == "vision"
        else family
        for family in FAMILIES
    ]
    statuses = {"echo": ready("echo")}
    async with client_of(make_context(families=named, statuses=statuses)) as client:
        answer = (await client.get("/models")).json()
        native = (await client.get("/v1/models")).json()
    assert (answer["object"], answer["data"]) == ("list", native["data"])
    assert answer["text_models"] == [
        {"name": "echo", "size": "", "type": "chat", "loaded": True},
        {"name": "Qwen/Qwen3-0.6B", "size": "0.6B", "type": "chat", "loaded": False},
        {"name": "SmolLM2-135M-Instruct", "size": "135M", "type": "chat", "loaded": False},
        {"name": "digest", "size": "", "type": "embedding", "loaded": False},
    ]
    assert answer["image_models"] == [
        {"name": "squares", "type": "checkpoint", "loaded": False},
        {"name": "repeater", "type": "upscaler", "loaded": False},
    ]


async def test_what_lies_beside_checkpoints_is_listed(make_context: MakeContext) -> None:
    beside = {"loras": {"ink": "org/ink"}, "vaes": {"sharp": "org/sharp"}}
    first = next(family for family in FAMILIES if family["name"] == "images")
    second = {"name": "more", "options": first["options"] | beside, "models": [{"id": "other"}]}
    families = [
        family | {"options": family["options"] | beside} if family is first else family
        for family in FAMILIES
    ]
    async with client_of(make_context(families=[*families, second])) as client:
        listed = (await client.get("/models")).json()["image_models"]
    assert [each for each in listed if each["type"] in ("lora", "vae")] == [
        {"name": "ink", "type": "lora", "loaded": False},
        {"name": "sharp", "type": "vae", "loaded": False},
    ]


@pytest.mark.covers("Velesio: GET /queue/status")
async def test_the_queue(make_context: MakeContext) -> None:
    model = Waiting()
    statuses = {"squares": ready("squares"), "lights": ready("lights"), "hum": ready("hum")}
    context = make_context(runs={"chat": model}, statuses=statuses)
    async with client_of(context) as client:
        made = await client.post("/v1/images/generations", json=IMAGE)
        assert made.status_code == 200, made.text
        call = asyncio.create_task(client.post("/completion", json={"prompt": "a"}))
        await model.has_begun.wait()
        status = (await client.get("/queue/status")).json()
        model.may_go_on.set()
        job_id = (await call).headers["x-job-id"]
        await context.direct_jobs.flush()
        later = (await client.get("/queue/status")).json()
    assert (status["queue_depth"], status["pending_jobs"]) == (1, 0)
    assert status["workers"] == [
        {"id": "echo", "type": "llm", "status": "busy", "current_job": job_id},
        {"id": "hum", "type": "audio", "status": "idle"},
        {"id": "squares", "type": "sd", "status": "idle"},
        {"id": "lights", "type": "video", "status": "idle"},
    ]
    assert status["active_workers"] == 4
    assert status["completed_jobs_24h"] == 1
    assert (later["queue_depth"], later["completed_jobs_24h"]) == (0, 2)
    assert later["active_workers"] == 3


@pytest.mark.covers("Velesio: GET and DELETE /queue/jobs")
async def test_jobs(client: httpx.AsyncClient) -> None:
    for name in ("first", "second"):
        answer = await client.post("/v1/images/generations", json=IMAGE | {"ref_id": name})
        assert answer.status_code == 200, answer.text
    jobs = (await client.get("/queue/jobs")).json()["jobs"]
    assert len(jobs) == 2
    assert jobs[0]["created_at"] >= jobs[1]["created_at"]
    assert len((await client.get("/queue/jobs?limit=1")).json()["jobs"]) == 1
    job = (await client.get("/queue/jobs/first")).json()
    assert job == jobs[1]
    assert job.keys() >= {
        *("id", "type", "status", "position", "progress", "created_at", "started_at"),
        *("finished_at", "error", "result_url"),
    }
    assert (job["type"], job["status"], job["position"]) == ("image.generation", "succeeded", None)
    assert (job["progress"], job["error"]) == (1.0, None)
    assert (await client.get(job["result_url"])).headers["content-type"] == "image/png"
    answer = await client.delete("/queue/jobs/first")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "invalid_request")
    for method in ("GET", "DELETE"):
        answer = await client.request(method, "/queue/jobs/job-nobody")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    answer = await client.get("/queue/jobs?limit=0")
    assert (answer.status_code, answer.json()["error"]["details"][:5]) == (400, "limit")


async def test_jobs_are_cancelled(make_context: MakeContext) -> None:
    slow = [
        family | {"options": family["options"] | {"delay_s": 30}}
        if family["name"] == "images"
        else family
        for family in FAMILIES
    ]
    async with client_of(make_context(families=slow)) as client:
        body = IMAGE | {"async": True, "ref_id": "long"}
        accepted = await client.post("/v1/images/generations", json=body)
        answer = await client.delete("/queue/jobs/long")
        assert answer.status_code == 200
        assert answer.json() == {"id": accepted.json()["id"], "status": "cancelled"}


async def test_a_running_completion_is_cancelled(make_context: MakeContext) -> None:
    model = Waiting()
    async with client_of(make_context(runs={"chat": model})) as client:
        call = asyncio.create_task(client.post("/completion", json={"prompt": "a"}))
        await model.has_begun.wait()
        (job,) = (await client.get("/queue/jobs")).json()["jobs"]
        assert (job["type"], job["status"], job["result_url"]) == ("complete", "running", None)
        assert (await client.delete(f"/queue/jobs/{job['id']}")).json()["status"] == "cancelled"
        answer = await call
    assert answer.status_code == 499
    assert answer.json()["error"]["code"] == "cancelled"


async def test_jobs_are_their_owners(make_context: MakeContext) -> None:
    context = make_context(auth={"required": True}, environment=TOKENS)
    async with client_of(context) as client:
        body = {"prompt": "a", "async": True, "ref_id": "mine"}
        assert (await client.post("/completion", json=body, headers=ONE)).status_code == 202
        admin = {"Authorization": "Bearer sk-admin"}
        assert len((await client.get("/queue/jobs", headers=ONE)).json()["jobs"]) == 1
        assert len((await client.get("/queue/jobs", headers=admin)).json()["jobs"]) == 1


@pytest.mark.covers("Velesio: 60 requests a minute, 10 at once, X-RateLimit-*")
async def test_rates(make_context: MakeContext) -> None:
    context = make_context(auth={"required": True}, environment=TOKENS)
    async with client_of(context) as client:
        for left in range(59, -1, -1):
            answer = await client.get("/models", headers=ONE)
            assert answer.status_code == 200
            assert answer.headers["x-ratelimit-limit"] == "60"
            assert answer.headers["x-ratelimit-remaining"] == str(left)
            assert answer.headers["x-ratelimit-reset"].isdecimal()
        answer = await client.post("/completion", json={"prompt": "a"}, headers=ONE)
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["x-ratelimit-remaining"] == "0"
        for path in ("/props", "/template", "/queue/jobs/job-nobody"):
            answer = await client.get(path, headers=ONE)
            assert answer.headers["x-ratelimit-limit"] == "600"
        for path in ("/tokenize", "/detokenize", "/apply-template"):
            answer = await client.post(path, json={}, headers=ONE)
            assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (400, "600")
        answer = await client.post("/embeddings", json={"content": "a"}, headers=ONE)
        assert answer.headers["x-ratelimit-limit"] == "1200"
        assert "x-ratelimit-limit" not in (await client.get("/health", headers=ONE)).headers
        two = {"Authorization": "Bearer sk-two"}
        body = {"prompt": "a", "stream": True}
        streamed = await client.post("/completion", json=body, headers=two)
        assert (streamed.status_code, streamed.headers["x-ratelimit-remaining"]) == (200, "59")


async def test_ten_at_once(make_context: MakeContext) -> None:
    model = Waiting()
    context = make_context(auth={"required": True}, environment=TOKENS, runs={"chat": model})
    async with client_of(context) as client:
        body = {"prompt": "a"}
        calls = [
            asyncio.create_task(client.post("/completion", json=body, headers=ONE))
            for _ in range(11)
        ]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = [call.result() for call in done]
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            429,
            "rate_limit_exceeded",
        )
        model.may_go_on.set()
        assert sorted([(await call).status_code for call in calls]) == [*[200] * 10, 429]
