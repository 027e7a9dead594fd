"""Text operations of this dialect: waited for, streamed, or accepted as jobs."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi.responses import Response
from starlette.requests import Request

from serve_app.access.tokens import Principal
from serve_app.api.answers import AnswerOutput
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.json_answer import json_response
from serve_app.api.observation import observed
from serve_app.api.repetition import repeatable_of
from serve_app.api.runs import (
    Call,
    JobOptions,
    call_in,
    finished_result,
    run,
    run_text,
    stream,
    submission_of,
    submit,
)
from serve_app.api.velesio.job_object import job_url
from serve_app.core.errors import AppError
from serve_app.core.jobs import Job, Repeatable, Submission
from serve_app.core.operation import Operation

T = TypeVar("T")
QUEUED = ("priority",)
"""Fields that only a job in a queue has a use for."""
NO_OUTPUT = AnswerOutput()
STANDARD_NAMES = frozenset({"completion", "gpt-3.5-turbo"})
"""What clients send that know of no model here."""


def wanted_model(name: str | None) -> str | None:
    """The model that a request names; None is the default one."""
    return None if name in STANDARD_NAMES else name


@dataclass(frozen=True)
class TextCall:
    """A request for text. `idle` are fields that have no effect on the model that it is for."""

    body: JobBody
    operation: Operation[Any]
    call: Call
    output: AnswerOutput = NO_OUTPUT
    idle: tuple[str, ...] = ()

    async def answered(self, answer: Callable[[], Awaitable[Any]]) -> Response:
        """The whole answer: straight from the family, unless something asks for a durable job."""
        if self.body.needs_job(self.call.request.headers):
            return await self._as_job()
        submission = await self._submission()
        content = await run_text(self.call, submission, answer)
        for one in content if isinstance(content, list) else [content]:
            observed(self.call.request).note_usage(one)
        return json_response(content, self._headers(submission.id, *QUEUED))

    async def streamed(self, events: AsyncIterator[T]) -> tuple[AsyncGenerator[T], dict[str, str]]:
        """The events, seen as a job while they come, and the headers of their answer. What is known
        to be wrong is raised here, before any byte is sent.
        """
        self.body.refuse_job(self.call.request.headers)
        submission = await self._submission()
        opened = await stream(self.call, submission, events)
        return opened, self._headers(submission.id, *QUEUED)

    async def _as_job(self) -> Response:
        call = self.call
        repeatable = await repeatable_of(self.body, self.operation, call.request)
        submission = await self._submission(repeatable)
        if self.body.is_async(call.request.headers):
            return self._accepted(await submit(call, submission))
        job = await run(call, submission)
        # Raises what a job that did not end well has failed with.
        finished_result(job, call.dialect)
        return json_response(
            await call.dialect.body(job, call.context.files), self._headers(job.id)
        )

    def _accepted(self, job: Job) -> Response:
        """202: where the job is."""
        url = job_url(job.id, self.call.context.files)
        headers = {"Location": url, "Preference-Applied": "respond-async"}
        content = {"id": job.id, "status": job.status, "url": url}
        response = json_response(content, self._headers(job.id) | headers)
        response.status_code = 202
        return response

    async def _submission(self, repeatable: Repeatable | None = None) -> Submission:
        body = self.body
        options = JobOptions(
            output=self.output.stored(),
            ref_id=body.ref_id,
            tag=body.tag,
            priority=body.priority or 0,
            callback_url=body.callback_url,
            repeatable=repeatable,
        )
        return await submission_of(self.call, self.operation, options)

    def _headers(self, job_id: str, *idle: str) -> dict[str, str]:
        return {"X-Job-ID": job_id} | self.body.ignored(*self.idle, *idle)


def text_call(
    body: JobBody,
    operation: Operation[Any],
    given: tuple[Request, Context, Principal],
    *,
    output: AnswerOutput = NO_OUTPUT,
    idle: tuple[str, ...] = (),
) -> TextCall:
    """The call that a route was `given`."""
    return TextCall(body, operation, call_in(*given), output, idle)


@contextmanager
def format_errors(field: str | None) -> Iterator[None]:
    """Within it, errors about the format of the answer are about the field that asks for it."""
    try:
        yield
    except AppError as error:
        if field is None or not (error.param or "").startswith("response_format"):
            raise
        raise error.about(field) from error.__cause__
