"""POST /chat/completions."""

from fastapi import APIRouter
from fastapi.responses import Response
from typing_extensions import override

from serve_app.api.answers import Answer, AnswerOutput
from serve_app.api.call import CallDep, dialect_errors
from serve_app.api.context import Context
from serve_app.api.direct_route import DirectRoute
from serve_app.api.openai.chat_answer import chat_answer
from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.openai.finished_chat import finished_chat
from serve_app.api.velesio.completion_body import model_of, token_biases
from serve_app.api.velesio.errors import ERRORS
from serve_app.api.velesio.format_errors import format_errors, format_telling
from serve_app.api.velesio.sampling import NO_EFFECT, LlamaBody
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import Chat, TextFormat

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
async def velesio_chat(body: VelesioChatBody, call: CallDep) -> Response:
    """Reply to a conversation, as one response or as server-sent events."""
    context = call.context
    with dialect_errors(call.dialect, Chat.name):
        found = model_of(body, context.catalog)
        operation = await chat_of(body, context, found)
    form = body.format_field
    tell = format_telling(call, operation, form)
    idle = body.idle_fields(found.family.options.honours)
    with format_errors(form):
        return await chat_answer(call, body, operation, found, tell=tell, idle=idle)


async def chat_of(body: VelesioChatBody, context: Context, found: CatalogEntry) -> Chat:
    """The operation, with its media stored."""
    if (body.top_k or 0) < 0:
        raise InvalidRequest("top_k is at least 0", remedy="0 is off", param="top_k")
    operation = await body.to_chat(found, context.catalog, context.intake)
    biases = operation.sampling.logit_bias | await token_biases(body, context.catalog, found.id)
    sampling = operation.sampling.model_copy(update={"logit_bias": biases})
    return operation.model_copy(update={"sampling": sampling})


ANSWERS = (Answer(Chat, AnswerOutput, finished_chat, reads_operation=True),)
