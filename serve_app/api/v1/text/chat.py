"""POST /v1/chat/completions."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.api.answers import Answer, AnswerBody, AnswerOutput, Finished
from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.direct_route import DirectRoute
from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.openai.chat_response import (
    answer_text,
    chat_chunks,
    chat_completion,
    job_identity,
)
from serve_app.api.sse import sse_response
from serve_app.api.v1.jobs.job_calls import streamed, text_answer
from serve_app.api.v1.wire import ERRORS
from serve_app.core.text.chat import Chat, CollectedText

router = APIRouter(tags=["text"], responses=ERRORS, route_class=DirectRoute)


@router.post("/v1/chat/completions")
async def chat_completions(
    body: ChatBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Reply to a conversation, as one response or as server-sent events."""
    found = context.catalog.find("chat", body.model)
    operation = await body.to_chat(found, context.catalog, context.intake)
    n = operation.sampling.n
    if body.stream:
        events = found.stream_text(operation)
        opened, headers = await streamed(body, operation, request, context, principal, events)
        frames = chat_chunks(opened, model=found.id, n=n, wants_usage=body.wants_usage)
        return sse_response(frames, request, headers=headers)
    has_logprobs = operation.sampling.logprobs is not None
    return await text_answer(
        body,
        operation,
        request,
        context,
        principal,
        lambda: chat_completion(
            found.stream_text(operation), model=found.id, n=n, has_logprobs=has_logprobs
        ),
    )


async def chat_body(finished: Finished[Chat, CollectedText, AnswerOutput]) -> AnswerBody:
    """The whole answer, of what was said."""
    operation = finished.operation
    answer = await chat_completion(
        answer_text(finished.result.events),
        model=operation.model,
        n=operation.sampling.n,
        has_logprobs=operation.sampling.logprobs is not None,
    )
    return answer | job_identity("chatcmpl", finished)


ANSWERS = (Answer(Chat, AnswerOutput, chat_body, reads_operation=True),)
