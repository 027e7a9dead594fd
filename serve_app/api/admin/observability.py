"""/metrics and /admin/api/metrics, and what is switched on of what is recorded."""

import asyncio
import json
import logging
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.responses import Response

from serve_app.api.admin.html import read_form
from serve_app.api.context import Context, ContextDep
from serve_app.api.json_body import read_json_object
from serve_app.core.amounts import Amounts, Ran
from serve_app.core.errors import AppError, InvalidRequest
from serve_app.database.schema import JobRow
from serve_app.family.gpus import nvidia_gpus
from serve_app.metering.usage_table import all_time
from serve_app.observability.exposition import ServerState, exposition
from serve_app.observability.settings import SWITCHES, Switch, is_on
from serve_app.observability.summary import summary
from serve_app.runtime.limits import LimitPassed, within

logger = logging.getLogger(__name__)

T = TypeVar("T")
router = APIRouter(tags=["admin"])
PATIENCE_S = 3.0
ACTIVE = ("queued", "running")
Counts = dict[tuple[str, str], int]


@router.get("/metrics", response_class=Response)
async def prometheus_metrics(context: ContextDep) -> Response:
    """Metrics in the Prometheus format; those in the database are left out if it is down."""
    gpus = await asyncio.to_thread(nvidia_gpus)
    by_queue = await _within_patience(context.database.read(_job_counts), {})
    # Never the share of one replica for the whole: a counter would seem to have begun anew.
    tally = await context.observability.whole_tally()
    jobs: dict[str, int] = {}
    for (_, status), count in by_queue.items():
        jobs[status] = jobs.get(status, 0) + count
    direct = await _within_patience(
        context.running_direct(None), context.direct_jobs.all(owner=None)
    )
    state = ServerState(
        jobs=jobs,
        depths={key: count for key, count in by_queue.items() if key[1] in ACTIVE},
        direct=len(direct),
        models=await context.catalog.statuses(),
        gpus=tuple(gpus),
        dropped=context.observability.dropped,
        used=await _within_patience(_used(context), {}),
    )
    return Response(exposition(tally, state), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/admin/api/metrics")
async def read_metrics(context: ContextDep) -> JSONResponse:
    """Read the counts since startup and the durations of the last hour, by category."""
    return JSONResponse(summary(await context.observability.whole_tally()))


@router.post("/admin/api/observability/toggle")
async def toggle(request: Request, context: ContextDep) -> JSONResponse:
    """Turn a part on or off until the server restarts."""
    fields = await _fields(request)
    key = _key(fields.get("key"))
    value = is_on(_word(fields.get("value")))
    await context.observability.throw(key, value)
    return JSONResponse({"key": key, "value": value})


@router.post("/admin/api/observability/clear-payload")
async def clear_payload(context: ContextDep) -> JSONResponse:
    """Delete all captured requests of this machine."""
    return JSONResponse({"deleted": await context.observability.clear_payloads()})


async def _fields(request: Request) -> dict[str, object]:
    """Of a JSON object or a URL-encoded form. InvalidRequest."""
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(await read_form(request))
    return await read_json_object(request)


def _key(value: object) -> Switch:
    for known in SWITCHES:
        if value == known:
            return known
    shown = json.dumps(value)[:50]
    raise InvalidRequest(f"unknown key {shown}", remedy=f"keys: {', '.join(SWITCHES)}", param="key")


def _word(value: object) -> str:
    """JSON has booleans and numbers where a form has words."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, str | int) else ""


def _job_counts(session: Session) -> Counts:
    chosen = select(JobRow.queue, JobRow.status, func.count()).group_by(JobRow.queue, JobRow.status)
    return {(queue, status): count for queue, status, count in session.execute(chosen)}


async def _used(context: Context) -> dict[Ran, Amounts]:
    await context.meter.flush()
    return await context.database.read(all_time)


async def _within_patience(work: Awaitable[T], otherwise: T) -> T:
    try:
        async with within(PATIENCE_S):
            return await work
    except (LimitPassed, AppError, SQLAlchemyError) as error:
        logger.warning("a part of the metrics is missing: %s", error)
        return otherwise
