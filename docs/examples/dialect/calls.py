"""What the routes share: the fields that make a request a task, and the response to it."""

from typing import Annotated, Any

from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import AnswerOutput
from serve_app.api.call import Call
from serve_app.api.json_answer import json_response
from serve_app.api.lite.task_object import task_object
from serve_app.api.operation_answers import finished_answer
from serve_app.api.runs import JobOptions, run, submission_of, submit
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import Flag, Text
from serve_app.core.jobs import RefId
from serve_app.core.operation import Operation

NO_OUTPUT = AnswerOutput()


class LiteTaskBody(WireObject):
    """A request that can run as a task. With `later`, the client does not wait for it."""

    engine: Annotated[Text, Field(max_length=500)] | None = None
    later: Flag | None = None
    label: Annotated[RefId, Field(strict=True)] | None = None
    report_to: Annotated[Text, Field(min_length=1, max_length=4096)] | None = None

    @property
    def is_task(self) -> bool:
        """Whether the request must run as a durable job; streams and direct answers do not."""
        return bool(self.later or self.label or self.report_to)

    def job_options(self, output: AnswerOutput = NO_OUTPUT) -> JobOptions:
        """What the client asks for besides the operation."""
        return JobOptions(output=output.stored(), ref_id=self.label, callback_url=self.report_to)


async def answered(
    call: Call, body: LiteTaskBody, operation: Operation[Any], output: AnswerOutput = NO_OUTPUT
) -> Response:
    """The response with the result, or with the task if the client does not wait."""
    submission = await submission_of(call, operation, body.job_options(output))
    if body.later:
        job = await submit(call, submission)
        task = await task_object(job, call.dialect, call.context.files)
        return json_response(task, {"X-Job-ID": job.id})
    job = await run(call, submission)
    return await finished_answer(call, job, {"X-Job-ID": job.id})
