"""What of a chat's body is passed on to a provider as it was sent."""

import json

from serve_app.api.long_texts import LONG_BYTES
from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.openai.chat_message import ImagePartBody, MessageBody, PartBody, TextPartBody


def passed_body(body: ChatBody, sent: bytes) -> bytes:
    """The body, or only how it is to be answered, where there are media in it that a provider
    cannot read, or that were put aside while it came.
    """
    if len(sent) <= LONG_BYTES and all(map(_is_complete, body.messages)):
        return sent
    options = {"include_usage": body.wants_usage}
    return json.dumps({"stream": bool(body.stream), "stream_options": options}).encode()


def _is_complete(message: MessageBody) -> bool:
    """Whether nothing of it is at this server, or in a form of this server's."""
    parts = message.content if isinstance(message.content, list) else ()
    return not message.images and all(map(_is_inline, parts))


def _is_inline(part: PartBody) -> bool:
    if isinstance(part, ImagePartBody):
        return part.source.startswith("data:")
    return isinstance(part, TextPartBody) and part.type == "text"
