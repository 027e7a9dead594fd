"""The response to a chat as it is passed back to a client of the same form."""

from collections.abc import AsyncGenerator

from serve_app.core.text.chat import ChatDelta, ChatEvent
from serve_app.core.upstreams.exchange import UpstreamResponse
from serve_app.runtime.streams import closing
from serve_app.upstreams.openai_form.exchange import Object, OpenAIExchange, is_event_stream
from serve_app.upstreams.openai_form.passed_events import PassedEvents
from serve_app.upstreams.openai_form.text_events import usage_in


async def passed_back(
    sent: Object, exchange: OpenAIExchange, response: UpstreamResponse
) -> AsyncGenerator[ChatEvent]:
    """The response in pieces, and last the usage if the provider tells it. Of a stream, every piece
    is a number of whole events. `sent` is the request as the client has sent it.
    """
    if is_event_stream(response):
        options = sent.get("stream_options") or {}
        events = PassedEvents(exchange, wants_usage=bool(options.get("include_usage")))
        blocks = _blocks(response, events)
        async with closing(blocks):
            async for block in blocks:
                yield ChatDelta(passed_on=block)
        usage = events.usage
    else:
        body = await response.read()
        usage = usage_in(exchange.object_in(body))
        yield ChatDelta(passed_on=body)
    if usage is not None:
        yield usage


async def _blocks(response: UpstreamResponse, events: PassedEvents) -> AsyncGenerator[bytes]:
    async for piece in response.chunks():
        if block := events.feed(piece):
            yield block
        if events.failure is not None:
            raise events.failure
    if block := events.finish():
        yield block
    if events.failure is not None:
        raise events.failure
    if not events.has_ended:
        raise events.exchange.unreadable("ended early")
