"""/lite/tasks: read and stop tasks."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.json_answer import json_response
from serve_app.api.lite.task_object import task_object
from serve_app.api.runs import call_in, cancel, find_job

router = APIRouter(tags=["jobs"])


@router.get("/lite/tasks/{task}")
async def read_task(
    task: str, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Read a task by its id or its label."""
    call = call_in(request, context, principal)
    job = await find_job(call, task)
    return json_response(await task_object(job, call.dialect, context.files))


@router.post("/lite/tasks/{task}/stop")
async def stop_task(
    task: str, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Stop a task at its next step."""
    call = call_in(request, context, principal)
    job = await cancel(call, task)
    return json_response(await task_object(job, call.dialect, context.files))
