"""/admin/api/status, and loading and unloading of models by hand."""

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from serve_app import __version__
from serve_app.api.admin.tasks import queue_object
from serve_app.api.admin.times import optional_rfc3339
from serve_app.api.context import Context, ContextDep
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.loading import Loadable
from serve_app.core.status import ModelStatus
from serve_app.database.schema import BlobReferenceRow
from serve_app.family.gpus import nvidia_gpus

router = APIRouter(tags=["admin"])


@router.get("/admin/api/status")
async def server_status(request: Request, context: ContextDep) -> JSONResponse:
    """Read what runs, what waits, what is loaded and what is stored."""
    statuses = await context.catalog.statuses()
    models = [
        _model(found.id, found.family.options.task, statuses.get(found.id))
        for found in context.catalog.all()
    ]
    gpus = await asyncio.to_thread(nvidia_gpus)
    return JSONResponse(
        {
            "version": __version__,
            "uptime_sec": round(time.monotonic() - request.app.state.started_at, 1),
            "queue": await queue_object(context),
            "models": models,
            "gpus": [_gpu(gpu) for gpu in gpus],
            "store": await context.database.read(_stored),
        }
    )


@router.post("/admin/api/models/{id:path}/load")
async def load_model(id: str, context: ContextDep) -> JSONResponse:
    """Start loading a model; `/v1/models/{id}` shows the progress."""
    model_id, holder = _holder(context, id)
    status = await holder.load_model(model_id)
    return JSONResponse({"id": model_id, "status": status.state}, 202)


@router.post("/admin/api/models/{id:path}/unload")
async def unload_model(id: str, context: ContextDep) -> JSONResponse:
    """Unload a model when its running requests have ended."""
    model_id, holder = _holder(context, id)
    status = await holder.unload_model(model_id)
    return JSONResponse({"id": model_id, "status": status.state}, 202)


def _holder(context: Context, name: str) -> tuple[str, Loadable]:
    found = context.catalog.named(name)
    if not isinstance(found.runner, Loadable):
        raise UnsupportedCapability(f"model {found.id!r} cannot be unloaded", param="id")
    return found.id, found.runner


def _model(model_id: str, task: str, status: ModelStatus | None) -> dict[str, Any]:
    return {
        "id": model_id,
        "type": task,
        "loaded": status is not None and status.state == "ready",
        "memory_mb": status.memory_mb if status else None,
        "requests": status.requests if status else 0,
        "last_used": optional_rfc3339(status.last_used if status else None),
    }


def _gpu(gpu: dict[str, Any]) -> dict[str, Any]:
    return {
        "index": gpu["index"],
        "name": gpu["name"],
        "total_vram_mb": gpu["total_vram_mb"],
        "available_vram_mb": gpu["free_vram_mb"],
        "utilization": gpu["utilization"],
    }


def _stored(session: Session) -> dict[str, int]:
    """What somebody holds of the blob store; shared bytes count once."""
    row = BlobReferenceRow
    each = select(row.sha256, func.max(row.size).label("size")).group_by(row.sha256).subquery()
    total, count = session.execute(select(func.sum(each.c.size), func.count())).one()
    return {"bytes": int(total or 0), "files": int(count) if total is not None else 0}
