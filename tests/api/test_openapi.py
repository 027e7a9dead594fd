"""/openapi.json describes the server, and nothing it allows breaks the server."""

import contextlib
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from serve_app import __version__
from serve_app.api.app import create_app
from tests.api.conftest import MakeContext

EXAMPLES = {GenerationMode.POSITIVE: 10, GenerationMode.NEGATIVE: 6}
"""Of each operation. Drawing one takes four times as long as answering it; and what is forbidden
gets no further than the reading of bodies, which is the same for all.
"""
TOKEN = "sk-fuzz"
PLENTY = {"requests_per_minute": 10**6, "concurrent": 10**6}
PATIENCE_S = 600
"""A hundred images in two passes take longer than the 10 s by default on a busy machine, and so may
the description of all routes.
"""
RATES = dict.fromkeys(("default", "embeddings", "read"), PLENTY)
SHARED_WAY = ("/api/TextToImage", "/api/OpenAiChatCompletion")
ROUTES = {
    "/v1/models": {"get"},
    "/v1/models/{id}": {"get"},
    "/v1/health": {"get"},
    "/healthz": {"get"},
    "/coderai/capabilities": {"get"},
    "/v1/files/{filename}": {"get"},
    "/v1/files/upload": {"post"},
    "/v1/files/blob/{hash}": {"get"},
    "/v1/chat/completions": {"post"},
    "/v1/completions": {"post"},
    "/v1/embeddings": {"post"},
    "/v1/rerank": {"post"},
    "/v1/audio/speech": {"post"},
    "/v1/audio/speech/stream": {"post"},
    "/v1/audio/speech/batch": {"post"},
    "/v1/audio/transcriptions": {"post"},
    "/v1/audio/translations": {"post"},
    "/v1/images/generations": {"post"},
    "/v1/images/edits": {"post"},
    "/v1/images/inpaint": {"post"},
    "/v1/images/variations": {"post"},
    "/v1/images/segment": {"post"},
    "/v1/images/faceswap": {"post"},
    "/v1/images/upscale": {"post"},
    "/v1/images/depth": {"post"},
    "/v1/audio/stems": {"post"},
    "/v1/video/generations": {"post"},
    "/v1/video/upscale": {"post"},
    "/v1/video/interpolate": {"post"},
    "/v1/pipelines/video-dub": {"post"},
    "/v1/pipelines/image-to-video": {"post"},
}


@pytest.fixture
def app(make_context: MakeContext) -> FastAPI:
    """A server with every route in service, whose one token may do everything without limit."""
    context = make_context(
        pipelines=[{"name": name} for name in ("video-dub", "video-generation", "image-to-video")],
        auth={"required": True},
        environment={"ADMIN_TOKEN": TOKEN},
        limits={"rates": {"inference": RATES, "admin": RATES}},
    )
    return create_app(context)


@pytest.mark.covers("aistack: routes below /v1")
async def test_the_description_is_of_this_version(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["info"]["version"] == __version__
    for path, methods in ROUTES.items():
        assert methods <= document["paths"][path].keys(), path


async def test_every_operation_describes_its_errors(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    error = document["components"]["schemas"]["ErrorDetail"]
    assert {"message", "type", "code", "param", "kind", "provider"} <= {*error["required"]}
    for path in ROUTES:
        for operation in document["paths"][path].values():
            assert {"400", "401", "404", "500", "503"} <= {*operation["responses"]}
            assert "422" not in operation["responses"], path
            assert operation["description"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
@pytest.mark.covers("CoderAI: /docs and /openapi.json")
async def test_the_explorer_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert "/openapi.json" in answer.text


def test_nothing_the_description_allows_breaks_the_server(app: FastAPI) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, timeout=PATIENCE_S)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {operation.path for operation in operations} >= {*ROUTES}
    for operation in filter(is_read_by_itself, operations):
        fuzz(operation, GenerationMode.POSITIVE)
        if may_be_violated(operation):
            fuzz(operation, GenerationMode.NEGATIVE)


def is_read_by_itself(operation: Any) -> bool:
    """Whether a route has a way of its own to read what it is sent. Those of `/api/` share one, and
    two of them stand for all.
    """
    return not operation.path.startswith("/api/") or operation.path in SHARED_WAY


def may_be_violated(operation: Any) -> bool:
    """Whether the description forbids anything: any text is allowed in a path."""
    return bool(operation.body) or any(
        parameter.location != "path" or parameter.definition["schema"].get("type") != "string"
        for parameter in operation.iter_parameters()
    )


def fuzz(operation: Any, mode: GenerationMode) -> None:
    """The same examples on every run: what the description allows, or what it forbids."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES[mode],
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=PATIENCE_S)
        is_out_of_service = answer.status_code == 503 and "backend_unavailable" in answer.text
        assert answer.status_code < 500 or is_out_of_service, (case.as_curl_command(), answer.text)
        assert answer.status_code != 401 or operation.path not in ROUTES

    if mode is GenerationMode.POSITIVE:
        check()
    else:
        # An operation without parameters and body forbids nothing.
        with contextlib.suppress(Unsatisfiable):
            check()
