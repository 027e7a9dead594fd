"""POST /v1/completions."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.answers import Answer, AnswerBody, AnswerOutput, Finished
from serve_app.api.call import CallDep
from serve_app.api.direct_route import DirectRoute
from serve_app.api.openai.completion_body import CompletionBody
from serve_app.api.openai.completion_response import completion_chunks, text_completion
from serve_app.api.openai.finished_chat import job_identity
from serve_app.api.operation_answers import streamed, text_answer
from serve_app.api.sse import sse_response
from serve_app.api.v1.wire import ERRORS
from serve_app.core.text.chat import CollectedText, Complete
from serve_app.runtime.streams import gathered

router = APIRouter(tags=["text"], responses=ERRORS, route_class=DirectRoute)


@router.post("/v1/completions")
async def completions(body: CompletionBody, call: CallDep) -> Response:
    """Complete a prompt, as one response or as server-sent events."""
    found = call.context.catalog.find("chat", body.model)
    operation = body.to_complete(found.id)
    if body.stream:
        events = found.stream_text(operation)
        opened, headers = await streamed(call, body, operation, events)
        frames = completion_chunks(opened, model=found.id, wants_usage=body.wants_usage)
        return sse_response(frames, call.request, headers=headers)
    count = len(operation.prompts) * operation.sampling.n

    async def answer() -> dict[str, Any]:
        events = await gathered(found.stream_text(operation))
        return text_completion(events, model=found.id, count=count)

    return await text_answer(call, body, operation, answer)


async def completion_body(finished: Finished[Complete, CollectedText, AnswerOutput]) -> AnswerBody:
    """The whole answer, of what was said."""
    operation = finished.operation
    count = len(operation.prompts) * operation.sampling.n
    answer = text_completion(list(finished.result.events), model=operation.model, count=count)
    return answer | job_identity("cmpl", finished)


ANSWERS = (Answer(Complete, AnswerOutput, completion_body, reads_operation=True),)
