"""POST /v1/chat/completions."""

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.answers import Answer, AnswerOutput
from serve_app.api.call import CallDep
from serve_app.api.direct_route import DirectRoute
from serve_app.api.openai.chat_answer import chat_answer
from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.openai.finished_chat import finished_chat
from serve_app.api.v1.wire import ERRORS
from serve_app.core.text.chat import Chat

router = APIRouter(tags=["text"], responses=ERRORS, route_class=DirectRoute)


@router.post("/v1/chat/completions")
async def chat_completions(body: ChatBody, call: CallDep) -> Response:
    """Reply to a conversation, as one response or as server-sent events."""
    context = call.context
    found = context.catalog.find("chat", body.model)
    operation = await body.to_chat(found, context.catalog, context.intake)
    return await chat_answer(call, body, operation, found, tell=call.telling(operation))


ANSWERS = (Answer(Chat, AnswerOutput, finished_chat, reads_operation=True),)
