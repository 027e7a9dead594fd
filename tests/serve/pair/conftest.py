"""Two servers in processes of their own. All models are the second's; the first calls it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from serve_app.launch.processes import adopt_orphans
from tests.providers import PROVIDERS
from tests.serve.kills.conftest import Server

ADMIN = {"Authorization": "Bearer sk-boss"}
TASKS = {
    "echo": "chat",
    "digest": "embeddings",
    "squares": "images",
    "hum": "speech",
    "ears": "transcription",
}
PLACEMENT = {"min_replicas": 1, "max_replicas": 1, "max_ongoing_requests": 100}
IMAGE_S = 2.0


def fake(name: str, task: str) -> dict[str, Any]:
    options = {"engine": "fake", "task": task, "delay_s": IMAGE_S if task == "images" else 0.0}
    models = [] if task == "media" else [{"id": name}]
    return {"name": name, "options": options, "models": models}


@pytest.fixture(scope="package")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    adopt_orphans()
    running = Server(
        tmp_path_factory.mktemp("second"),
        environment={"API_TOKENS": "sk-second"},
        families=[fake(name, task) for name, task in TASKS.items()],
        pipelines=(),
        auth={"required": True},
        limits={"rates": None},
        jobs={"placement": PLACEMENT},
        defaults={"speech": "hum"},
    )
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="package")
def first(second: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(
        tmp_path_factory.mktemp("first"),
        environment={"ADMIN_TOKEN": "sk-boss"},
        families=[fake("media", "media")],
        pipelines=(),
        auth={"required": True},
        limits={"rates": None},
        jobs={"placement": PLACEMENT},
        defaults={"speech": "box/hum"},
    )
    running.start()
    box = {"type": "openai-compat", "name": "box", "base_url": f"{second.url}/v1", "enabled": True}
    made = httpx.post(
        f"{running.url}{PROVIDERS}",
        json=box | {"api_keys": ["sk-second"]},
        headers=ADMIN,
        trust_env=False,
    )
    assert made.status_code == 201, made.text
    yield running
    running.kill()


@pytest.fixture
async def http(first: Server) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of the first."""
    async with httpx.AsyncClient(
        base_url=first.url, headers=ADMIN, timeout=120, trust_env=False
    ) as client:
        yield client
