"""POST /chat/completions."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from typing_extensions import override

from serve_app.api.answers import Answer, AnswerBody, AnswerOutput, Finished
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.dialect import dialect_in
from serve_app.api.direct_route import DirectRoute
from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.openai.chat_response import (
    answer_text,
    chat_chunks,
    chat_completion,
    job_identity,
)
from serve_app.api.runs import dialect_errors
from serve_app.api.sse import sse_response
from serve_app.api.velesio.calls import format_errors, text_call
from serve_app.api.velesio.completion_body import model_of, token_biases
from serve_app.api.velesio.errors import ERRORS
from serve_app.api.velesio.sampling import NO_EFFECT, LlamaBody
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import Chat, CollectedText, TextFormat

router = APIRouter(tags=["text"], responses=ERRORS, route_class=DirectRoute)


class VelesioChatBody(LlamaBody, ChatBody):
    """A conversation, in every form that OpenAI's clients send."""

    @override
    def without_effect(self) -> list[str]:
        return [*super().without_effect(), *self.sent(*NO_EFFECT)]

    @override
    def text_format(self) -> TextFormat:
        return self.llama_format() or super().text_format()


@router.post("/chat/completions")
async def velesio_chat(
    body: VelesioChatBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Reply to a conversation, as one response or as server-sent events."""
    with dialect_errors(dialect_in(request.scope), Chat.name):
        found = model_of(body, context.catalog)
        operation = await chat_of(body, context, found)
    n = operation.sampling.n
    has_logprobs = operation.sampling.logprobs is not None
    idle = body.idle_fields(found.family.options.honours)
    call = text_call(body, operation, (request, context, principal), idle=idle)
    with format_errors(body.format_field):
        if body.stream:
            opened, headers = await call.streamed(found.stream_text(operation))
            frames = chat_chunks(opened, model=found.id, n=n, wants_usage=body.wants_usage)
            return sse_response(frames, request, headers=headers)
        return await call.answered(
            lambda: chat_completion(
                found.stream_text(operation), model=found.id, n=n, has_logprobs=has_logprobs
            )
        )


async def chat_of(body: VelesioChatBody, context: Context, found: CatalogEntry) -> Chat:
    """The operation, with its media stored."""
    if (body.top_k or 0) < 0:
        raise InvalidRequest("top_k is at least 0; 0 is off", param="top_k")
    operation = await body.to_chat(found, context.catalog, context.intake)
    biases = operation.sampling.logit_bias | await token_biases(body, context.catalog, found.id)
    sampling = operation.sampling.model_copy(update={"logit_bias": biases})
    return operation.model_copy(update={"sampling": sampling})


async def chat_answer(finished: Finished[Chat, CollectedText, AnswerOutput]) -> AnswerBody:
    """The whole answer of a job."""
    operation = finished.operation
    answer = await chat_completion(
        answer_text(finished.result.events),
        model=operation.model,
        n=operation.sampling.n,
        has_logprobs=operation.sampling.logprobs is not None,
    )
    return answer | job_identity("chatcmpl", finished)


ANSWERS = (Answer(Chat, AnswerOutput, chat_answer, reads_operation=True),)
