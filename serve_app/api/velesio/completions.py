"""POST /completion and /completions."""

from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.access.tokens import Principal
from serve_app.api.answers import Answer, AnswerOutput
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.dialect import dialect_in
from serve_app.api.direct_route import DirectRoute
from serve_app.api.runs import dialect_errors
from serve_app.api.sse import sse_response
from serve_app.api.velesio.calls import TextCall, format_errors, text_call
from serve_app.api.velesio.completion_answer import completion_answer, completion_object
from serve_app.api.velesio.completion_body import LlamaCompletionBody, completion_of, model_of
from serve_app.api.velesio.errors import ERRORS, llama_error
from serve_app.api.velesio.frames import documented_frames, llama_frames, spaced
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.text.chat import ChatDelta, ChatEvent, Complete
from serve_app.runtime.streams import closing, gathered

router = APIRouter(tags=["text"], responses=ERRORS, route_class=DirectRoute)


@router.post("/completion")
async def completion(
    body: LlamaCompletionBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Continue a prompt. A body with `n_predict`, `cache_prompt`, `id_slot` or `n_keep` has the
    defaults and the frames of llama.cpp.
    """
    return await completed(body, request, context, principal)


@router.post("/completions")
async def completions(
    body: LlamaCompletionBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Continue a prompt, by the name that OpenAI's SDKs have for it."""
    return await completed(body, request, context, principal)


async def completed(
    body: LlamaCompletionBody, request: Request, context: Context, principal: Principal
) -> Response:
    """The answer, whole or as a stream."""
    with dialect_errors(dialect_in(request.scope), Complete.name):
        found = model_of(body, context.catalog)
        operation = await completion_of(body, context.catalog, found)
    idle = body.idle_fields(found.family.options.honours)
    call = text_call(body, operation, (request, context, principal), idle=idle)
    with format_errors(body.format_field):
        if body.stream:
            return await _streamed(body, call, operation, found)
        if body.is_llama and len(operation.prompts) > 1:
            return await call.answered(lambda: _one_by_one(operation, found))
        count = len(operation.prompts) * operation.sampling.n
        return await call.answered(lambda: _whole(operation, found, count))


async def _streamed(
    body: LlamaCompletionBody, call: TextCall, operation: Complete, found: CatalogEntry
) -> Response:
    request = call.call.request
    if body.is_llama:
        opened, headers = await call.streamed(each_prompt(operation, found))
        frames = spaced(llama_frames(opened))
        return sse_response(frames, request, headers=headers, render=llama_error)
    opened, headers = await call.streamed(found.stream_text(operation))
    frames = documented_frames(opened, model=found.id, wants_usage=body.wants_usage)
    return sse_response(frames, request, headers=headers)


async def _whole(operation: Complete, found: CatalogEntry, count: int) -> dict[str, Any]:
    events = await gathered(found.stream_text(operation))
    return completion_object(events, model=found.id, count=count)


async def _one_by_one(operation: Complete, found: CatalogEntry) -> list[dict[str, Any]]:
    """As llama.cpp answers several prompts."""
    answers = []
    for number, each in enumerate(single_prompts(operation)):
        answers.append(await _whole(each, found, 1) | {"index": number})
    return answers


async def each_prompt(operation: Complete, found: CatalogEntry) -> AsyncGenerator[ChatEvent]:
    """The events of one prompt after the other, each with its own Usage: llama.cpp counts tokens
    for each.
    """
    for number, each in enumerate(single_prompts(operation)):
        events = found.stream_text(each)
        async with closing(events):
            async for event in events:
                is_delta = isinstance(event, ChatDelta)
                yield event.model_copy(update={"index": number}) if is_delta and number else event


def single_prompts(operation: Complete) -> list[Complete]:
    """The same for each of its prompts."""
    return [operation.model_copy(update={"prompts": (each,)}) for each in operation.prompts]


ANSWERS = (Answer(Complete, AnswerOutput, completion_answer, reads_operation=True),)
