"""The answer to a chat, whole or as server-sent events, as `body.stream` asks for."""

from fastapi.responses import Response

from serve_app.api.answers import Tell
from serve_app.api.call import Call
from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.openai.chat_response import chat_chunks, chat_completion
from serve_app.api.openai.passed_body import passed_body
from serve_app.api.operation_answers import streamed, text_answer
from serve_app.api.sse import sse_response
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.text.chat import Chat


async def chat_answer(
    call: Call,
    body: ChatBody,
    operation: Chat,
    found: CatalogEntry,
    *,
    tell: Tell,
    idle: tuple[str, ...] = (),
) -> Response:
    """Of the model `found`; `idle` are fields that have no effect on it."""
    sampling = operation.sampling
    asked = await _as_asked(call, body, operation, found)
    if body.stream:
        events = found.stream_text(asked)
        opened, headers = await streamed(call, body, operation, events, idle=idle)
        frames = chat_chunks(
            opened, model=found.id, n=sampling.n, wants_usage=body.wants_usage, tell=tell
        )
        return sse_response(frames, call.request, headers=headers)
    return await text_answer(
        call,
        body,
        operation,
        lambda: chat_completion(
            found.stream_text(asked),
            model=found.id,
            n=sampling.n,
            has_logprobs=sampling.logprobs is not None,
            tell=tell,
        ),
        idle=idle,
    )


async def _as_asked(call: Call, body: ChatBody, operation: Chat, found: CatalogEntry) -> Chat:
    """The operation with the request as it was sent, where a provider can be given that. A job has
    no use for what is passed back, and is recorded without it.
    """
    if not found.passes_on or body.needs_job(call.request.headers):
        return operation
    sent = passed_body(body, await call.request.body())
    return operation.model_copy(update={"as_sent": sent})
