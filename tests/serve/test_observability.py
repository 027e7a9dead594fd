"""What two ingress replicas count and log together."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.conftest import ADMIN_TOKEN, said
from tests.serve.test_interruption import LONG, first_line

URL = "/v1/chat/completions"


@pytest.fixture
async def admin(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's client, each of whose requests finds its own replica."""
    async with httpx.AsyncClient(
        base_url=base_url,
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Connection": "close"},
        timeout=120,
        trust_env=False,
    ) as client:
        yield client


async def llm(admin: httpx.AsyncClient) -> dict[str, Any]:
    answer = await admin.get("/admin/api/metrics")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["categories"].get("llm", {"total": 0, "disconnected": 0})
    return found


async def logged(data_dir: Path, request_id: str) -> dict[str, Any]:
    """The one line of a request, as soon as it is written."""
    async with asyncio.timeout(90):
        while True:
            files = sorted((data_dir / "logs").glob("access-*.jsonl"))
            lines = [line for file in files for line in file.read_text().splitlines()]
            (*found,) = [
                line for line in map(json.loads, lines) if line["request_id"] == request_id
            ]
            if found:
                (line,) = found
                return line
            await asyncio.sleep(0.1)


async def test_every_replica_tells_of_all_requests(
    http: httpx.AsyncClient, admin: httpx.AsyncClient, data_dir: Path
) -> None:
    # What was counted before this test is told after five seconds at most.
    await asyncio.sleep(6)
    before = (await llm(admin))["total"]
    for number in range(12):
        headers = {"X-Request-ID": f"counted-{number}", "Connection": "close"}
        answer = await http.post(URL, json=said("one two"), headers=headers)
        assert answer.status_code == 200
    async with asyncio.timeout(90):
        agreeing = 0
        while agreeing < 8:
            total = (await llm(admin))["total"]
            assert total <= before + 12
            agreeing = agreeing + 1 if total == before + 12 else 0
            await asyncio.sleep(0.1)
    for number in range(12):
        line = await logged(data_dir, f"counted-{number}")
        assert (line["status"], line["model"], line["client"]) == (200, "echo", "127.0.0.1")
    text = (await admin.get("/metrics")).text
    assert 'polyphony_requests_total{class="llm",status="200"}' in text


async def test_who_leaves_is_seen_to_have_left(
    http: httpx.AsyncClient, admin: httpx.AsyncClient, data_dir: Path
) -> None:
    request = said(LONG, "narrow", stream=True)
    async with http.stream(
        "POST", URL, json=request, headers={"X-Request-ID": "left-early"}
    ) as answer:
        assert (await first_line(answer)).startswith("data: {")
    line = await logged(data_dir, "left-early")
    assert line["extra"]["class"] == "client-disconnect"
    assert line["extra"]["first_ms"] > 0
