"""GET /coderai/capabilities."""

import socket
from typing import Any

import httpx
import pytest

from serve_app import __version__
from serve_app.core.status import ModelStatus
from tests.api.conftest import FAMILIES, MakeContext, client_of


async def capabilities(client: httpx.AsyncClient) -> Any:
    answer = await client.get("/coderai/capabilities")
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.covers("CoderAI: GET /coderai/capabilities")
async def test_what_the_server_is(client: httpx.AsyncClient) -> None:
    body = await capabilities(client)
    hardware, studio = body.pop("hardware"), body.pop("studio")
    assert body == {
        "server": "polyphony",
        "version": __version__,
        "transports": ["http", "sse"],
        "tunnel_only": False,
        "openai_compat": {"chat_completions": True, "responses": False, "models": True},
    }
    assert studio["supported"] is True
    assert hardware.keys() == {
        "hostname",
        "platform",
        "gpus",
        "gpu_count",
        "total_vram_mb",
        "available_vram_mb",
    }
    assert hardware["hostname"] is None
    assert hardware["platform"]
    assert hardware["gpu_count"] == len(hardware["gpus"])
    assert hardware["total_vram_mb"] == sum(gpu["total_vram_mb"] for gpu in hardware["gpus"])


async def test_the_host_is_named_only_when_the_operator_says_so(make_context: MakeContext) -> None:
    async with client_of(make_context(server={"expose_hostname": True})) as client:
        assert (await capabilities(client))["hardware"]["hostname"] == socket.gethostname()


async def test_endpoints_are_those_a_model_can_serve(
    client: httpx.AsyncClient, make_context: MakeContext
) -> None:
    endpoints = (await capabilities(client))["studio"]["endpoints"]
    assert {"v1/chat/completions", "v1/embeddings", "v1/audio/speech"} <= {*endpoints}
    assert "v1/pipelines/video-dub" not in endpoints
    assert len(endpoints) == len(set(endpoints))
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert {f"/{endpoint}" for endpoint in endpoints} <= {*paths}
    failed = {"digest": ModelStatus(id="digest", state="failed", cause="gone")}
    families = [family for family in FAMILIES if family["name"] in ("embeddings", "rerank")]
    async with client_of(make_context(families=families, statuses=failed)) as other:
        assert (await capabilities(other))["studio"]["endpoints"] == ["v1/rerank"]


async def test_a_pipeline_that_runs_is_listed(make_context: MakeContext) -> None:
    async with client_of(make_context(pipelines=[{"name": "video-dub"}])) as client:
        endpoints = (await capabilities(client))["studio"]["endpoints"]
    assert "v1/pipelines/video-dub" in endpoints
