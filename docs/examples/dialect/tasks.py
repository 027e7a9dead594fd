"""/lite/tasks: read and stop tasks."""

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.call import CallDep
from serve_app.api.caller_jobs import cancel, find_job
from serve_app.api.json_answer import json_response
from serve_app.api.lite.task_object import task_object

router = APIRouter(tags=["jobs"])


@router.get("/lite/tasks/{task}")
async def read_task(task: str, call: CallDep) -> Response:
    """Read a task by its id or its label."""
    job = await find_job(call, task)
    return json_response(await task_object(job, call.dialect, call.context.files))


@router.post("/lite/tasks/{task}/stop")
async def stop_task(task: str, call: CallDep) -> Response:
    """Stop a task at its next step."""
    job = await cancel(call, task)
    return json_response(await task_object(job, call.dialect, call.context.files))
