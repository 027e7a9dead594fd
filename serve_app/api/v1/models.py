"""The catalog on the wire: /v1/models, health and capabilities."""

import platform
import socket
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, get_args

import anyio.to_thread
from fastapi import APIRouter, Query
from fastapi.responses import Response

from serve_app import __version__
from serve_app.api.context import Context, ContextDep
from serve_app.api.json_answer import json_response
from serve_app.api.openai.model_object import (
    auto_entry,
    model_entries,
    model_object,
    upstream_entries,
)
from serve_app.api.v1.parts import paths_of
from serve_app.api.v1.wire import ERRORS
from serve_app.catalog.video_facts import video_facts
from serve_app.core.audio.speech import CloneSpeech
from serve_app.core.errors import InvalidRequest, ModelNotFound
from serve_app.core.operation import Operation
from serve_app.core.options.engine import EngineOptions
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.status import ModelStatus
from serve_app.core.tasks import TASKS, Capability, ModelType
from serve_app.family.gpus import nvidia_gpus

router = APIRouter(tags=["models"], responses=ERRORS)
KNOWN_CAPABILITIES = (
    *(row.coarse for row in TASKS.values() if row.coarse),
    *get_args(Capability),
)


@router.get("/v1/models")
async def list_models(
    context: ContextDep,
    type: Annotated[str | None, Query()] = None,
    capability: Annotated[str | None, Query()] = None,
) -> Response:
    """List the models; `type` and `capability` filter the list."""
    _check_choice("type", type, get_args(ModelType))
    _check_choice("capability", capability, KNOWN_CAPABILITIES)
    statuses = await context.catalog.statuses()
    await context.listed.refresh()
    entries = await model_entries(context.catalog, statuses)
    automatic = auto_entry(entries)
    entries += upstream_entries(context.catalog)
    data = [
        entry
        for entry in ([automatic] if automatic else []) + entries
        if type in (None, entry["type"]) and capability in (None, *entry["capabilities"])
    ]
    return json_response({"object": "list", "data": data})


@router.get("/v1/models/{id:path}")
async def get_model(id: str, context: ContextDep) -> Response:
    """Read one model by id or alias; ids may contain `/`."""
    statuses = await context.catalog.statuses()
    if id.lower() == "auto":
        automatic = auto_entry(await model_entries(context.catalog, statuses))
        if automatic:
            return json_response(automatic)
    await context.listed.refresh()
    found = context.catalog.named(id)
    if TASKS[found.family.options.task].type is None:
        raise ModelNotFound(f"model {id!r} is used by other operations only", param="model")
    status = statuses.get(found.id)
    facts = await video_facts(found, status, context.catalog.checkpoints)
    return json_response(model_object(found, status, facts))


@router.get("/healthz")
@router.get("/v1/health")
async def health() -> Response:
    """Check that the server is alive; needs no credential."""
    return json_response({"status": "ok", "version": __version__})


@router.get("/coderai/capabilities")
async def capabilities(context: ContextDep) -> Response:
    """Read the capabilities and the hardware of this server."""
    statuses = await context.catalog.statuses()
    hardware = await anyio.to_thread.run_sync(hardware_summary)
    hostname = socket.gethostname() if context.config.server.expose_hostname else None
    return json_response(
        {
            "server": "polyphony",
            "version": __version__,
            "transports": ["http", "sse"],
            "tunnel_only": False,
            "openai_compat": {"chat_completions": True, "responses": False, "models": True},
            "studio": {"supported": True, "endpoints": served_endpoints(context, statuses)},
            "hardware": {"hostname": hostname} | hardware,
        }
    )


def served_endpoints(context: Context, statuses: Mapping[str, ModelStatus]) -> list[str]:
    """Routes for which a model is loaded or can be loaded, and those of pipelines that run."""
    paths: list[str] = []
    for found in context.catalog.all():
        status = statuses.get(found.id)
        if status is None or status.state != "failed":
            paths += paths_of(partial(_does, found.family.options))
    for pipeline in context.config.pipelines:
        paths += paths_of(partial(_is_done_by, pipeline.name))
    return list(dict.fromkeys(paths))


def _does(options: EngineOptions, operation: type[Operation[Any]]) -> bool:
    return options.task == operation.task and (options.clones or operation is not CloneSpeech)


def _is_done_by(pipeline: str, operation: type[Operation[Any]]) -> bool:
    return issubclass(operation, PipelineOperation) and operation.pipeline == pipeline


def hardware_summary() -> dict[str, Any]:
    """Platform and GPUs, as nvidia-smi lists them. Blocks."""
    gpus = nvidia_gpus()
    return {
        "platform": platform.platform(),
        "gpus": [{key: gpu[key] for key in ("index", "name", "total_vram_mb")} for gpu in gpus],
        "gpu_count": len(gpus),
        "total_vram_mb": sum(gpu["total_vram_mb"] for gpu in gpus),
        "available_vram_mb": sum(gpu["free_vram_mb"] for gpu in gpus),
    }


def _check_choice(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        listed = ", ".join(allowed)
        raise InvalidRequest(
            f"unknown value {value[:100]!r}", remedy=f"values: {listed}", param=name
        )
