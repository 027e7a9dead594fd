"""The events of an answer that comes as one of Amazon's event streams."""

import base64
import json
from collections.abc import AsyncGenerator, Mapping

from serve_app.core.errors import UpstreamError
from serve_app.core.upstreams.exchange import UpstreamRefused, UpstreamResponse
from serve_app.upstreams.anthropic_events import whole_answer_events
from serve_app.upstreams.anthropic_form import object_in
from serve_app.upstreams.anthropic_messages import Object
from serve_app.upstreams.aws_event_stream import EventStreamMessage, event_stream_messages

EVENT_STREAM = "application/vnd.amazon.eventstream"
STATUSES: Mapping[str, int] = {
    "validationException": 400,
    "throttlingException": 429,
    "modelStreamErrorException": 424,
    "modelTimeoutException": 504,
    "internalServerException": 500,
    "serviceUnavailableException": 503,
}
"""Of exceptions that come in a stream, as they would have come before it."""


async def bedrock_events(response: UpstreamResponse) -> AsyncGenerator[Object]:
    """The model's events; of an answer that was not streamed, what they would have been.
    UpstreamRefused for an exception in the stream.
    """
    if not response.headers.get("content-type", "").startswith(EVENT_STREAM):
        for whole in whole_answer_events(object_in(await response.read())):
            yield whole
        return
    async for kind, payload in event_payloads(response):
        if kind == "chunk":
            yield object_in(_chunk(object_in(payload)))


async def event_payloads(response: UpstreamResponse) -> AsyncGenerator[tuple[str, bytes]]:
    """What kind every event is of, and what is in it. UpstreamRefused for an exception."""
    async for message in event_stream_messages(response.chunks()):
        if message.headers.get(":message-type") in ("exception", "error"):
            raise _refusal(message)
        yield message.headers.get(":event-type", ""), message.payload


def _chunk(payload: Object) -> bytes:
    try:
        return base64.b64decode(payload["bytes"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamError("a chunk of the provider's response has no bytes") from error


def _refusal(message: EventStreamMessage) -> UpstreamRefused:
    kind = message.headers.get(":exception-type", "")
    if kind:
        return UpstreamRefused(STATUSES.get(kind, 500), {}, message.payload)
    said = message.headers.get(":error-message") or message.headers.get(":error-code", "")
    return UpstreamRefused(500, {}, json.dumps({"message": said}).encode())
