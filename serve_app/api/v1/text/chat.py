"""POST /v1/chat/completions."""

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.answers import Answer, AnswerOutput
from serve_app.api.call import CallDep
from serve_app.api.direct_route import DirectRoute
from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.openai.chat_response import chat_chunks, chat_completion
from serve_app.api.openai.finished_chat import finished_chat
from serve_app.api.operation_answers import streamed, text_answer
from serve_app.api.sse import sse_response
from serve_app.api.v1.wire import ERRORS
from serve_app.core.text.chat import Chat

router = APIRouter(tags=["text"], responses=ERRORS, route_class=DirectRoute)


@router.post("/v1/chat/completions")
async def chat_completions(body: ChatBody, call: CallDep) -> Response:
    """Reply to a conversation, as one response or as server-sent events."""
    context = call.context
    found = context.catalog.find("chat", body.model)
    operation = await body.to_chat(found, context.catalog, context.intake)
    n = operation.sampling.n
    tell = call.telling(operation)
    if body.stream:
        events = found.stream_text(operation)
        opened, headers = await streamed(call, body, operation, events)
        frames = chat_chunks(opened, model=found.id, n=n, wants_usage=body.wants_usage, tell=tell)
        return sse_response(frames, call.request, headers=headers)
    has_logprobs = operation.sampling.logprobs is not None
    return await text_answer(
        call,
        body,
        operation,
        lambda: chat_completion(
            found.stream_text(operation),
            model=found.id,
            n=n,
            has_logprobs=has_logprobs,
            tell=tell,
        ),
    )


ANSWERS = (Answer(Chat, AnswerOutput, finished_chat, reads_operation=True),)
