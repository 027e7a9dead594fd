"""A server in its own processes, whose engines raise what no engine should."""

from collections.abc import Iterator
from typing import Any

import pytest

from serve_app.launch.processes import adopt_orphans
from tests.serve.kills.conftest import Server


def brittle(
    name: str, task: str, breaks_with: str = "as_told", **options: object
) -> dict[str, Any]:
    models = [] if task == "media" else [{"id": name}]
    return {
        "name": name,
        "options": {"engine": "fake", "task": task, "breaks_with": breaks_with, **options},
        "models": models,
        "placement": {"min_replicas": 1},
    }


@pytest.fixture(
    scope="package",
    params=[None, pytest.param("RAY_SERVE_THROUGHPUT_OPTIMIZED", marks=pytest.mark.slow)],
)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One with the shipped switches and one without the switch that chooses gRPC. They need no
    token, and have the dashboard and a token of Ray's in a home of their own.
    """
    adopt_orphans()
    directory = tmp_path_factory.mktemp("brittle")
    slow = {"delay_s": 3, "diary": str(directory / "diary")}
    running = Server(
        directory,
        environment={"HOME": str(directory)},
        families=[
            brittle("talk", "chat"),
            brittle("vectors", "embeddings"),
            brittle("voice", "speech"),
            brittle("slow", "speech", **slow),
            brittle("deaf", "transcription", "cancelled"),
            brittle("media", "media"),
        ],
        pipelines=("video-subtitle",),
        without=request.param,
        arguments=("--dashboard",),
        jobs={"on_disconnect": "continue", "placement": {}},
        defaults={"speech": "voice"},
    )
    running.start()
    yield running
    running.kill()
