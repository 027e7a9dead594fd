"""POST /lite/chat: whole, as a stream, or as a task."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, AnswerOutput, Finished
from serve_app.api.call import CallDep, dialect_errors
from serve_app.api.json_answer import json_response
from serve_app.api.lite.calls import LiteTaskBody, answered
from serve_app.api.runs import run_text, stream, submission_of
from serve_app.api.sse import frame, sse_response
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import Flag, Text
from serve_app.core.bounds import MAX_MESSAGES
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import (
    Chat,
    ChatDelta,
    ChatEvent,
    ChatMessage,
    CollectedText,
    TextPart,
)
from serve_app.runtime.streams import closing, gathered

router = APIRouter(tags=["text"])


class LiteTurnBody(WireObject):
    """One message of the conversation."""

    by: Literal["user", "model"]
    says: Text


class LiteChatBody(LiteTaskBody):
    """A conversation; `live` streams the reply."""

    turns: list[LiteTurnBody] = Field(min_length=1, max_length=MAX_MESSAGES)
    live: Flag | None = None

    def messages(self) -> tuple[ChatMessage, ...]:
        """The turns as core messages."""
        return tuple(
            ChatMessage(
                role="user" if turn.by == "user" else "assistant",
                content=(TextPart(text=turn.says),),
            )
            for turn in self.turns
        )


@router.post("/lite/chat")
async def chat(body: LiteChatBody, call: CallDep) -> Response:
    """Reply to a conversation."""
    with dialect_errors(call.dialect, Chat.name):
        found = call.context.catalog.find("chat", body.engine)
    operation = Chat(model=found.id, messages=body.messages())
    if body.live and body.is_task:
        raise InvalidRequest("a stream cannot run as a task; leave out 'live'", param="live")
    if body.is_task:
        return await answered(call, body, operation)
    submission = await submission_of(call, operation)
    headers = {"X-Job-ID": submission.id}
    if body.live:
        events = await stream(call, submission, found.stream_text(operation))
        return sse_response(live_frames(events), call.request, headers=headers)
    content = await run_text(call, submission, lambda: said(found.stream_text(operation)))
    return json_response(content, headers)


async def said(events: AsyncIterator[ChatEvent]) -> dict[str, Any]:
    """The whole reply."""
    return said_object(await gathered(events))


def said_object(events: list[ChatEvent]) -> dict[str, Any]:
    """The text of the reply."""
    return {"says": "".join(event.text for event in events if isinstance(event, ChatDelta))}


async def live_frames(events: AsyncIterator[ChatEvent]) -> AsyncGenerator[bytes]:
    """One frame per delta, and one at the end."""
    async with closing(events):
        async for event in events:
            if isinstance(event, ChatDelta) and event.text:
                yield frame({"says": event.text})
    yield frame({"is_over": True})


async def chat_body(finished: Finished[Chat, CollectedText, AnswerOutput]) -> AnswerBody:
    """The body for a task that has ended."""
    return said_object([*finished.result.events])


ANSWERS = (Answer(Chat, AnswerOutput, chat_body),)
