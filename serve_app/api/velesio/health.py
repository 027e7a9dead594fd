"""/health: whether the server can work, for whoever asks."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app import __version__
from serve_app.api.context import ContextDep
from serve_app.api.json_answer import json_response
from serve_app.api.velesio.errors import ERRORS
from serve_app.api.velesio.workers import WorkerState, worker_state

router = APIRouter(tags=["health"], responses=ERRORS)
STORE_TIMEOUT_S = 2.0
USABLE: frozenset[WorkerState] = frozenset({"ready", "busy", "loading"})
Health = Literal["healthy", "degraded", "unhealthy"]


@router.get("/health")
@router.post("/health")
async def velesio_health(context: ContextDep) -> Response:
    """Check the store of jobs and the models; needs no credential. `redis` is the store of jobs,
    whatever it is.
    """
    is_connected = await context.job_store.is_reachable(timeout_s=STORE_TIMEOUT_S)
    statuses = await context.catalog.statuses()
    workers = {
        "llm_worker": worker_state(context.catalog, statuses, "chat"),
        "sd_worker": worker_state(context.catalog, statuses, "images"),
    }
    health = health_of(is_connected, list(workers.values()))
    response = json_response(
        {
            "status": health,
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "version": __version__,
            "services": {"redis": "connected" if is_connected else "disconnected"} | workers,
        }
    )
    response.status_code = 503 if health == "unhealthy" else 200
    return response


def health_of(is_connected: bool, workers: list[WorkerState]) -> Health:
    """A worker that is not configured is not missed while there is another."""
    if not is_connected or not USABLE.intersection(workers):
        return "unhealthy"
    return "degraded" if "offline" in workers else "healthy"
