"""An AI provider that costs next to nothing: OpenAI's chat route over raw asyncio, saying back the
last message, in one piece or as a stream of a chunk per word. The model `paced` says 50 words a
second.

    python benchmarks/stub_provider.py PORT
"""

import asyncio
import json
import sys
from functools import lru_cache
from typing import Any, cast

import httptools
import uvloop

PACE_S = 0.02
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: {type}\r\n{length}\r\n\r\n"
COMMON = {"id": "chatcmpl-stub", "created": 1_700_000_000}


class StubProvider(asyncio.Protocol):
    """One connection, one request under way at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []
        self._pace: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """See asyncio.Protocol."""
        if self._pace is not None:
            self._pace.cancel()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Called by httptools."""
        self._url = url

    def on_body(self, body: bytes) -> None:
        """Called by httptools for every piece."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by httptools at the end of a request."""
        text, self._body = b"".join(self._body), []
        if not text:
            listed = {"object": "list", "data": [{"id": "fast", "object": "model"}]}
            self._send_json(listed)
            return
        request = json.loads(text)
        words = request["messages"][-1]["content"]
        words = words if isinstance(words, str) else words[0]["text"]
        if request.get("stream"):
            with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
            self._stream(request["model"], words, with_usage=with_usage)
        else:
            self._send_json(completion(request["model"], words))

    def _send_json(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        head = HEAD.format(type="application/json", length=f"Content-Length: {len(body)}")
        self._transport.write(head.encode() + body)

    def _stream(self, model: str, words: str, *, with_usage: bool) -> None:
        head = HEAD.format(type="text/event-stream", length="Transfer-Encoding: chunked").encode()
        chunks = streamed(model, words, with_usage)
        if "paced" not in model:
            self._transport.write(head + b"".join(chunks))
            return
        self._transport.write(head)
        self._pace = asyncio.get_running_loop().create_task(self._slowly(chunks))

    async def _slowly(self, chunks: tuple[bytes, ...]) -> None:
        for chunk in chunks:
            self._transport.write(chunk)
            await asyncio.sleep(PACE_S)


def completion(model: str, text: str) -> dict[str, Any]:
    """An answer in one piece."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"object": "chat.completion", "model": model, "choices": [choice]}
    return COMMON | answer | {"usage": usage(len(text.split()))}


@lru_cache
def streamed(model: str, text: str, with_usage: bool) -> tuple[bytes, ...]:
    """The chunks of a streamed answer, with the end of the transfer encoding."""
    common = COMMON | {"object": "chat.completion.chunk", "model": model}
    words = text.split()
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word if n == 0 else f" {word}"} for n, word in enumerate(words)]
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    events = [common | {"choices": [choice]} for choice in choices]
    if with_usage:
        events.append(common | {"choices": [], "usage": usage(len(words))})
    data = [*map(json.dumps, events), "[DONE]"]
    return (*map(as_chunk, data), b"0\r\n\r\n")


def usage(words: int) -> dict[str, int]:
    """As many tokens as words."""
    return {"prompt_tokens": words, "completion_tokens": words, "total_tokens": 2 * words}


def as_chunk(data: str) -> bytes:
    """An event as a chunk of the transfer encoding."""
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


async def main() -> None:
    """Serve until it is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(StubProvider, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
