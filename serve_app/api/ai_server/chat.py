"""Chats: answered at once, or queued and asked for."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fastapi.responses import Response
from starlette.routing import BaseRoute

from serve_app.api.ai_server.arguments import Arguments
from serve_app.api.ai_server.artifact_links import ServiceOutput, base_of
from serve_app.api.ai_server.calls import (
    Prepared,
    accepted,
    answer_of,
    job_options,
    queued,
    repetition_of,
    timed_out,
    waited,
    wants_job,
)
from serve_app.api.ai_server.chat_fields import ChatCallFields, asked_chat, chat_request
from serve_app.api.ai_server.job_objects import (
    STATES,
    failed_error,
    job_names,
    progress_text,
    status_url,
)
from serve_app.api.ai_server.known_models import chat_model_for
from serve_app.api.ai_server.operation_route import GET, POST, Done, operation_routes
from serve_app.api.ai_server.service_body import bound
from serve_app.api.ai_server.service_error import status_object
from serve_app.api.ai_server.status import JobFields, asked_job
from serve_app.api.answers import Answer, AnswerBody, Finished, Tell
from serve_app.api.call import Call, dialect_errors
from serve_app.api.observation import observed
from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.openai.chat_response import chat_completion
from serve_app.api.openai.finished_chat import answer_text, job_identity
from serve_app.api.runs import run_text, submission_of, submit
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.errors import StillRunning
from serve_app.core.jobs import KEY_HEADER, Job
from serve_app.core.notices import Notice
from serve_app.core.text.chat import Chat, ChatEvent, CollectedText

STATUS = "GetOpenAiChatStatus"
CHATS = frozenset({Chat.name})
WAIT_S, LOOK_S = 120.0, 0.25
TAG = "text"


async def complete(call: Call, arguments: Arguments) -> Done | Response:
    """OpenAiChatCompletion. One that has a name is a job from the beginning."""
    fields = bound(ChatCallFields, arguments)
    found, operation = await _operation(call, arguments)
    options = job_options(call, fields, is_queued=False)
    repeatable = await repetition_of(call, fields, operation)
    submission = await submission_of(call, operation, replace(options, repeatable=repeatable))
    ready = Prepared(submission, STATUS)
    if wants_job(call):
        return accepted(*await queued(call, ready))
    if fields.ref_id or KEY_HEADER in call.request.headers:
        body, job = await waited(call, ready)
        return body, job.id

    def tell(notices: Iterable[Notice]) -> list[str]:
        return call.dialect.told(notices, Chat.name)

    try:
        body = await run_text(
            call, submission, lambda: chat_answer(operation, found.stream_text(operation), tell)
        )
    except StillRunning as error:
        raise await timed_out(call, error, ready) from error
    observed(call.request).note_usage(body)
    return body, submission.id


async def queue(call: Call, arguments: Arguments) -> Done:
    """QueueOpenAiChatCompletion."""
    fields = bound(ChatCallFields, arguments)
    _, operation = await _operation(call, asked_chat(arguments))
    options = job_options(call, fields, is_queued=True)
    repeatable = await repetition_of(call, fields, operation)
    submission = await submission_of(call, operation, replace(options, repeatable=repeatable))
    job = await submit(call, submission)
    base = base_of(call.request, call.context)
    names = {"id": job.number, "refId": job.ref_id}
    return names | {"statusUrl": status_url(base, STATUS, job.ref_id)}, job.id


async def chat_status(call: Call, arguments: Arguments) -> Done:
    """GetOpenAiChatStatus."""
    job = await asked_job(call, bound(JobFields, arguments), CHATS, ref_first=True)
    result = {"result": await answer_of(call, job)} if job.status == "succeeded" else {}
    return job_names(job) | progress_text(job) | result, job.id


async def get_chat(call: Call, arguments: Arguments) -> Done:
    """GetOpenAiChat."""
    job = await asked_job(call, bound(JobFields, arguments), CHATS)
    return await _job_object(call, job), job.id


async def wait_for_chat(call: Call, arguments: Arguments) -> Done:
    """WaitForOpenAiChat: as GetOpenAiChat, when the chat has ended or two minutes are over."""
    fields = bound(JobFields, arguments)
    loop = asyncio.get_running_loop()
    until = loop.time() + WAIT_S
    while True:
        job = await asked_job(call, fields, CHATS)
        if job.is_final or loop.time() >= until:
            return await _job_object(call, job), job.id
        await asyncio.sleep(LOOK_S)


async def chat_answer(
    operation: Chat, events: AsyncIterator[ChatEvent], tell: Tell
) -> dict[str, Any]:
    """The whole answer, without what is null."""
    answer = await chat_completion(
        events,
        model=operation.model,
        n=operation.sampling.n,
        has_logprobs=operation.sampling.logprobs is not None,
        tell=tell,
    )
    answer["choices"] = [
        _given(choice) | {"message": _given(choice["message"])} for choice in answer["choices"]
    ]
    return _given(answer)


async def chat_body(finished: Finished[Chat, CollectedText, ServiceOutput]) -> AnswerBody:
    """The answer of a job."""
    events = answer_text(finished.result.events)
    answer = await chat_answer(finished.operation, events, finished.tell)
    return answer | job_identity("chatcmpl", finished)


ANSWERS = (Answer(Chat, ServiceOutput, chat_body, reads_operation=True),)


async def _operation(call: Call, arguments: Arguments) -> tuple[CatalogEntry, Chat]:
    fields, name = chat_request(arguments)
    found = chat_model_for(call.context.catalog, name)
    return found, await _chat(call, fields, found)


async def _chat(call: Call, fields: ChatBody, found: CatalogEntry) -> Chat:
    with dialect_errors(call.dialect, Chat.name):
        return await fields.to_chat(found, call.context.catalog, call.context.intake)


async def _job_object(call: Call, job: Job) -> dict[str, Any]:
    """GetOpenAiChatResponse."""
    result: dict[str, Any] = {"id": job.number, "refId": job.ref_id, "state": STATES[job.status]}
    result["createdDate"] = _iso(job.created_at)
    if job.finished_at is not None:
        result["completedDate"] = _iso(job.finished_at)
    if job.status == "succeeded":
        body = await answer_of(call, job)
        result["responseBody"] = json.dumps(body, ensure_ascii=False)
    if job.status in ("failed", "cancelled"):
        status = status_object(failed_error(job, call.dialect))
        return {"result": _given(result), "responseStatus": status}
    return {"result": _given(result)}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Without nulls."""
    return {name: value for name, value in values.items() if value is not None}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


ROUTES: list[BaseRoute] = [
    *operation_routes(
        "OpenAiChatCompletion",
        complete,
        does="Reply to a conversation, as one JSON document.",
        tag=TAG,
        verbs=POST,
        body=ChatBody,
    ),
    *operation_routes(
        "QueueOpenAiChatCompletion",
        queue,
        does="Queue a conversation, which is under `request`.",
        tag=TAG,
        body=ChatCallFields,
    ),
    *operation_routes(STATUS, chat_status, does="Read a chat's state.", tag="jobs", verbs=GET),
    *operation_routes("GetOpenAiChat", get_chat, does="Read a chat's answer.", tag="jobs"),
    *operation_routes(
        "WaitForOpenAiChat", wait_for_chat, does="Wait for a chat's answer.", tag="jobs"
    ),
]
