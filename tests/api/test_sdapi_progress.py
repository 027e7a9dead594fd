"""Progress, interrupt and skip of the Automatic1111 dialect: of the caller's own work alone."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.sdapi import QUICK, SD, base64_png, info_of, opened, refused

MINE: dict[str, str] = {"X-Api-Key": "sk-one"}
THEIRS: dict[str, str] = {}
"""Of anonymous callers, who are another owner."""


async def until(
    client: httpx.AsyncClient, holds: Callable[[dict[str, Any]], bool], **more: Any
) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            found: dict[str, Any] = (await client.get(f"{SD}/progress", **more)).json()
            if holds(found):
                return found
            await asyncio.sleep(0.02)


async def test_nothing_runs(client: httpx.AsyncClient) -> None:
    found = (await client.get(f"{SD}/progress?skip_current_image=false")).json()
    assert (found["progress"], found["eta_relative"], found["current_image"]) == (0, 0, None)
    assert found["state"].keys() == {
        "skipped",
        "interrupted",
        "stopping_generation",
        "job",
        "job_count",
        "job_timestamp",
        "job_no",
        "sampling_step",
        "sampling_steps",
    }
    assert found["state"]["job_count"] == 0
    assert found["current_task"] is found["textinfo"] is None
    assert (await client.post(f"{SD}/interrupt")).json() == {}
    assert (await client.post(f"{SD}/skip")).json() is None
    assert (await client.get("/internal/pending-tasks")).json() == {"size": 0, "tasks": []}


async def test_a_finished_task_is_completed(client: httpx.AsyncClient) -> None:
    await client.post(f"{SD}/txt2img", json=QUICK | {"force_task_id": "mine"})
    found = (await client.post("/internal/progress", json={"id_task": "mine"})).json()
    assert found == {
        "active": False,
        "queued": False,
        "completed": True,
        "progress": 1.0,
        "eta": None,
        "live_preview": None,
        "id_live_preview": -1,
        "textinfo": found["textinfo"],
    }
    unknown = (await client.post("/internal/progress", json={"id_task": "nobody"})).json()
    assert (unknown["active"], unknown["completed"], unknown["progress"]) == (False, False, 0)
    refused(await client.post("/internal/progress", json={}), 400, "invalid_request")


SLOW = [
    family | {"options": family["options"] | {"delay_s": 0.6}}
    if family["name"] == "images"
    else family
    for family in FAMILIES
]
THREE = QUICK | {"n_iter": 3, "steps": 4, "force_task_id": "task(a1)"}


def is_at(number: int) -> Callable[[dict[str, Any]], bool]:
    """Whether the image with this number is being made."""
    return lambda found: found["state"]["job_count"] == 3 and found["state"]["job_no"] >= number


@pytest.mark.covers("Automatic1111: progress with a preview, interrupt and skip")
async def test_work_is_seen_interrupted_and_skipped_by_its_owner_alone(
    make_context: MakeContext,
) -> None:
    async with client_of(
        make_context(families=SLOW, environment={"API_TOKENS": "sk-one"})
    ) as client:
        running = asyncio.create_task(client.post(f"{SD}/txt2img", json=THREE, headers=MINE))
        found = await until(client, lambda found: found["current_image"] is not None, headers=MINE)
        assert 0 < found["progress"] < 1
        assert found["state"]["sampling_steps"] == 4
        assert opened(found["current_image"]).format == "JPEG"
        bare = await client.get(f"{SD}/progress?skip_current_image=true", headers=MINE)
        assert bare.json()["current_image"] is None
        assert found["current_task"] == "task(a1)"
        task = {"id_task": "task(a1)"}
        seen = await client.post("/internal/progress", json=task, headers=MINE)
        assert (seen.json()["active"], seen.json()["completed"]) == (True, False)

        theirs = (await client.get(f"{SD}/progress", headers=THEIRS)).json()
        assert theirs["state"]["job_count"] == 0
        for verb in ("interrupt", "skip"):
            assert (await client.post(f"{SD}/{verb}", headers=THEIRS)).status_code == 200
        await until(client, is_at(1), headers=MINE)
        assert (await client.post(f"{SD}/interrupt", headers=MINE)).json() == {}
        answer = await running
    info = info_of(answer)
    assert 1 <= len(answer.json()["images"]) < 3
    assert info["all_seeds"] == [7, 8][: len(answer.json()["images"])]
    assert "ended early" in info["comments"]


async def test_an_image_is_skipped(make_context: MakeContext) -> None:
    async with client_of(make_context(families=SLOW)) as client:
        running = asyncio.create_task(client.post(f"{SD}/txt2img", json=THREE))
        await until(client, is_at(1))
        assert (await client.post(f"{SD}/skip")).json() is None
        answer = await running
    assert info_of(answer)["all_seeds"] == [7, 9]
    assert len(answer.json()["images"]) == 2


async def test_an_interrupted_source_is_the_last_one(make_context: MakeContext) -> None:
    async with client_of(make_context(families=SLOW)) as client:
        sent = THREE | {"init_images": [base64_png("red"), base64_png("blue")]}
        running = asyncio.create_task(client.post(f"{SD}/img2img", json=sent))
        await until(client, is_at(1))
        await client.post(f"{SD}/interrupt")
        answer = await running
    assert 1 <= len(answer.json()["images"]) < 3


async def test_requests_wait_for_their_turn(make_context: MakeContext) -> None:
    narrow = [
        family | {"placement": {"max_ongoing_requests": 1}}
        if family["name"] == "images"
        else family
        for family in SLOW
    ]
    async with client_of(make_context(families=narrow)) as client:
        calls = [asyncio.create_task(client.post(f"{SD}/txt2img", json=QUICK)) for _ in range(2)]
        async with asyncio.timeout(30):
            while not (pending := (await client.get("/internal/pending-tasks")).json())["size"]:
                await asyncio.sleep(0.02)
        task = {"id_task": pending["tasks"][0]}
        found = (await client.post("/internal/progress", json=task)).json()
        assert found["queued"] or found["active"] or found["completed"]
        answers = await asyncio.gather(*calls)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert pending["tasks"][0] in {answer.headers["x-job-id"] for answer in answers}
