"""The administration's view of jobs, models and the store."""

import asyncio
from typing import Any

import httpx
import pytest

from serve_app.core.status import ModelStatus
from tests.api.conftest import MakeContext, client_of
from tests.api.test_jobs import TOKENS, begin, families, speech

ADMIN = {"Authorization": "Bearer sk-admin"}
ONE = {"Authorization": "Bearer sk-one"}


def admin_of(make_context: MakeContext, **sections: Any) -> httpx.AsyncClient:
    client = client_of(make_context(environment=TOKENS, **sections))
    client.headers.update(ADMIN)
    return client


class Switch:
    """A family that says what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    async def load_model(self, model_id: str) -> ModelStatus:
        self.told.append(("load", model_id))
        return ModelStatus(id=model_id, state="loading")

    async def unload_model(self, model_id: str) -> ModelStatus:
        self.told.append(("unload", model_id))
        return ModelStatus(id=model_id, state="ready")


async def test_tasks_of_all_owners_are_listed_cancelled_and_deleted(
    make_context: MakeContext,
) -> None:
    async with admin_of(make_context, families=families(delay_s=20)) as client:
        client.headers.update(ONE)
        running, waiting = [(await begin(client, f"text {n}", tag="t"))["id"] for n in range(2)]
        client.headers.update(ADMIN)
        body = (await client.get("/admin/api/tasks")).json()
        assert body["queue"] == {"pending": 1, "running": 1, "capacity": 100}
        assert [(task["id"], task["status"]) for task in body["tasks"]] == [
            (waiting, "queued"),
            (running, "running"),
        ]
        task = body["tasks"][1]
        assert (task["kind"], task["title"], task["model"]) == ("audio.speech", "t", "hum")
        assert (task["active"], task["cancellable"]) == (True, True)
        assert task["started_at"].endswith("Z")
        busy = await client.delete(f"/admin/api/tasks/{running}")
        assert (busy.status_code, busy.json()["error"]["code"]) == (409, "conflict")
        for job_id in (waiting, running):
            answer = await client.post(f"/admin/api/tasks/{job_id}/cancel")
            assert answer.status_code == 200
        async with asyncio.timeout(60):
            while (await client.get("/admin/api/tasks")).json()["queue"]["running"]:
                await asyncio.sleep(0.05)
        again = await client.post(f"/admin/api/tasks/{running}/cancel")
        assert again.status_code == 409
        assert (await client.delete(f"/admin/api/tasks/{running}")).json() == {"success": True}
        assert (await client.delete(f"/admin/api/tasks/{running}")).status_code == 404
        assert (await client.get(f"/v1/jobs/{running}")).status_code == 404


async def test_deleting_a_task_keeps_its_files(make_context: MakeContext) -> None:
    async with admin_of(make_context) as client:
        made = await client.post("/v1/audio/speech", json=speech())
        url = made.json()["data"][0]["url"]
        job_id = made.headers["x-job-id"]
        assert (await client.delete(f"/admin/api/tasks/{job_id}")).status_code == 200
        assert (await client.get(url)).status_code == 200


async def test_the_status_counts_what_is_stored_and_what_is_loaded(
    make_context: MakeContext,
) -> None:
    states = {
        "hum": ModelStatus(
            id="hum", state="ready", memory_mb=12.5, requests=3, last_used=1_700_000_000.0
        )
    }
    async with admin_of(make_context, statuses=states) as client:
        empty = (await client.get("/admin/api/status")).json()
        assert empty["store"] == {"bytes": 0, "files": 0}
        audio = await client.post("/v1/audio/speech", json=speech())
        size = len((await client.get(audio.json()["data"][0]["url"])).content)
        status = (await client.get("/admin/api/status")).json()
        assert status["store"] == {"bytes": size, "files": 1}
        assert status["queue"] == {"pending": 0, "running": 0, "capacity": 100}
        assert 0 <= empty["uptime_sec"] <= status["uptime_sec"]
        models = {model["id"]: model for model in status["models"]}
        assert models["hum"] == {
            "id": "hum",
            "type": "speech",
            "loaded": True,
            "memory_mb": 12.5,
            "requests": 3,
            "last_used": "2023-11-14T22:13:20Z",
        }
        assert models["echo"]["loaded"] is False


async def test_models_are_loaded_and_unloaded_by_hand(make_context: MakeContext) -> None:
    switch = Switch()
    async with admin_of(make_context, runs={"vision": switch}) as client:
        loaded = await client.post("/admin/api/models/org/eye/load")
        assert (loaded.status_code, loaded.json()) == (202, {"id": "org/eye", "status": "loading"})
        unloaded = await client.post("/admin/api/models/ORG%2Feye/unload")
        assert (unloaded.status_code, unloaded.json()["status"]) == (202, "ready")
        assert switch.told == [("load", "org/eye"), ("unload", "org/eye")]
        unknown = await client.post("/admin/api/models/nothing/load")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/api/tasks"),
        ("GET", "/admin/api/status"),
        ("POST", "/admin/api/tasks/job-1/cancel"),
        ("DELETE", "/admin/api/tasks/job-1"),
        ("POST", "/admin/api/models/hum/load"),
        ("POST", "/admin/api/models/hum/unload"),
    ],
)
async def test_only_an_admin_may(make_context: MakeContext, method: str, path: str) -> None:
    async with admin_of(make_context) as client:
        assert (await client.request(method, path, headers=ONE)).status_code == 403
        del client.headers["authorization"]
        assert (await client.request(method, path)).status_code == 401
