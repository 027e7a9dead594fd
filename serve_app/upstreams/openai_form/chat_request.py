"""A chat as a request."""

import base64
import json

from serve_app.core.errors import UnsupportedCapability
from serve_app.core.media import Blob, BlobStore
from serve_app.core.notices import Notice
from serve_app.core.text.chat import AudioPart, Chat, ChatMessage, ImagePart, TextPart, ToolChoice
from serve_app.upstreams.openai_form.exchange import OWN_SERVER, Object, OpenAIExchange
from serve_app.upstreams.openai_form.sampling import format_fields, sampling_fields

AS_SENT = ("tools", "response_format")
"""Of what vendors add to these, such as marks for caches, nothing is left out."""
AUDIO_FORMATS = {"audio/mpeg": "mp3", "audio/wav": "wav", "audio/x-wav": "wav"}


async def chat_request(
    operation: Chat, sent: Object, exchange: OpenAIExchange, blobs: BlobStore
) -> tuple[Object, tuple[Notice, ...]]:
    """The body, and what is left out of it. `sent` is the operation's `sent_request`."""
    kind, wanted = exchange.kind, operation.response_format
    if wanted.type == "grammar" and kind not in OWN_SERVER:
        raise UnsupportedCapability(
            "providers of this type know no grammars",
            remedy="send a JSON schema",
            param="response_format",
        )
    fields, left_out = sampling_fields(operation.sampling, kind)
    said = sent.get("messages") or [await _message(each, blobs) for each in operation.messages]
    content: Object = {
        "model": exchange.target.model,
        "messages": said,
        **_stream_fields(sent),
        **fields,
        **format_fields(wanted, kind),
        **_tool_fields(operation),
        **{name: sent[name] for name in AS_SENT if sent.get(name)},
    }
    if operation.sampling.max_tokens is not None:
        is_new = kind in ("openai", "azure")
        content["max_completion_tokens" if is_new else "max_tokens"] = operation.sampling.max_tokens
    if operation.sampling.logprobs is not None:
        content |= {"logprobs": True, "top_logprobs": operation.sampling.logprobs}
    if operation.reasoning_effort is not None:
        content["reasoning_effort"] = operation.reasoning_effort
    # What is known was checked; what is not must not take its place.
    unknown = {name: value for name, value in operation.extra.items() if name not in content}
    if "reasoning_effort" in operation.extra:
        content["reasoning_effort"] = operation.extra["reasoning_effort"]
    return content | unknown, left_out


def sent_request(operation: Chat) -> Object:
    """What the client has sent, as far as it goes to the provider unchanged; empty where the
    operation alone says what is asked for.
    """
    sent: Object = json.loads(operation.as_sent) if operation.as_sent is not None else {}
    return sent


def _stream_fields(sent: Object) -> Object:
    """Where the response is read here, it is always streamed. Every stream is to tell the usage."""
    if sent and not sent.get("stream"):
        return {"stream": False}
    options = sent.get("stream_options") or {}
    return {"stream": True, "stream_options": options | {"include_usage": True}}


async def data_url(blob: Blob, blobs: BlobStore) -> str:
    """A medium inside a text."""
    return f"data:{blob.mime};base64,{await in_base64(blob, blobs)}"


async def in_base64(blob: Blob, blobs: BlobStore) -> str:
    """The bytes of a blob."""
    return base64.b64encode(await bytes_of(blob, blobs)).decode()


async def bytes_of(blob: Blob, blobs: BlobStore) -> bytes:
    """All of a blob."""
    return b"".join([chunk async for chunk in blobs.read(blob)])


async def _message(message: ChatMessage, blobs: BlobStore) -> Object:
    written: Object = {"role": message.role}
    if all(isinstance(part, TextPart) for part in message.content):
        is_silent = not message.content and bool(message.tool_calls)
        written["content"] = None if is_silent else message.text
    else:
        written["content"] = [await _part(part, blobs) for part in message.content]
    if message.name:
        written["name"] = message.name
    if message.tool_call_id:
        written["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return written


async def _part(part: TextPart | ImagePart | AudioPart, blobs: BlobStore) -> Object:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image_url", "image_url": {"url": await data_url(part.image, blobs)}}
        case AudioPart():
            file_format = AUDIO_FORMATS.get(part.audio.mime, part.audio.mime.partition("/")[2])
            audio = {"data": await in_base64(part.audio, blobs), "format": file_format}
            return {"type": "input_audio", "input_audio": audio}


def _tool_fields(operation: Chat) -> Object:
    if not operation.tools:
        return {}
    fields: Object = {
        "tools": [
            {
                "type": "function",
                "function": tool.model_dump(exclude_none=True, exclude_defaults=True),
            }
            for tool in operation.tools
        ],
        "tool_choice": _choice(operation.tool_choice),
    }
    if not operation.parallel_tool_calls:
        fields["parallel_tool_calls"] = False
    return fields


def _choice(choice: ToolChoice) -> str | Object:
    if choice.mode == "function":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode
