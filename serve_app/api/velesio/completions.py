"""POST /completion and /completions."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.answers import Answer, AnswerOutput, Tell
from serve_app.api.call import Call, CallDep, dialect_errors
from serve_app.api.direct_route import DirectRoute
from serve_app.api.operation_answers import streamed, text_answer
from serve_app.api.sse import sse_response
from serve_app.api.velesio.completion_answer import completion_answer, completion_object
from serve_app.api.velesio.completion_body import LlamaCompletionBody, completion_of, model_of
from serve_app.api.velesio.errors import ERRORS, llama_error
from serve_app.api.velesio.format_errors import format_errors, format_telling
from serve_app.api.velesio.frames import documented_frames, llama_frames, spaced
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.text.chat import ChatDelta, ChatEvent, Complete
from serve_app.runtime.streams import closing, gathered

router = APIRouter(tags=["text"], responses=ERRORS, route_class=DirectRoute)


@router.post("/completion")
async def completion(body: LlamaCompletionBody, call: CallDep) -> Response:
    """Continue a prompt. A body with `n_predict`, `cache_prompt`, `id_slot` or `n_keep` has the
    defaults and the frames of llama.cpp.
    """
    return await completed(body, call)


@router.post("/completions")
async def completions(body: LlamaCompletionBody, call: CallDep) -> Response:
    """Continue a prompt, by the name that OpenAI's SDKs have for it."""
    return await completed(body, call)


async def completed(body: LlamaCompletionBody, call: Call) -> Response:
    """The answer, whole or as a stream."""
    catalog = call.context.catalog
    with dialect_errors(call.dialect, Complete.name):
        found = model_of(body, catalog)
        operation = await completion_of(body, catalog, found)
    form = body.format_field
    tell = format_telling(call, operation, form)
    with format_errors(form):
        if body.stream:
            return await _streamed(body, call, operation, found, tell)
        idle = body.idle_fields(found.family.options.honours)
        answer = partial(_answer, body, operation, found, tell)
        return await text_answer(call, body, operation, answer, idle=idle)


async def _streamed(
    body: LlamaCompletionBody, call: Call, operation: Complete, found: CatalogEntry, tell: Tell
) -> Response:
    idle = body.idle_fields(found.family.options.honours)
    if body.is_llama:
        each = each_prompt(operation, found)
        opened, headers = await streamed(call, body, operation, each, idle=idle)
        frames = spaced(llama_frames(opened))
        return sse_response(frames, call.request, headers=headers, render=llama_error)
    events = found.stream_text(operation)
    opened, headers = await streamed(call, body, operation, events, idle=idle)
    frames = documented_frames(opened, model=found.id, wants_usage=body.wants_usage, tell=tell)
    return sse_response(frames, call.request, headers=headers)


async def _answer(
    body: LlamaCompletionBody, operation: Complete, found: CatalogEntry, tell: Tell
) -> Any:
    if body.is_llama and len(operation.prompts) > 1:
        return await _one_by_one(operation, found, tell)
    return await _whole(operation, found, len(operation.prompts) * operation.sampling.n, tell)


async def _whole(
    operation: Complete, found: CatalogEntry, count: int, tell: Tell
) -> dict[str, Any]:
    events = await gathered(found.stream_text(operation))
    return completion_object(events, model=found.id, count=count, tell=tell)


async def _one_by_one(operation: Complete, found: CatalogEntry, tell: Tell) -> list[dict[str, Any]]:
    """As llama.cpp answers several prompts."""
    answers = []
    for number, each in enumerate(single_prompts(operation)):
        answers.append(await _whole(each, found, 1, tell) | {"index": number})
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
