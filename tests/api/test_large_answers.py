"""Large answers beside a stream of tokens: nobody waits for them to be written, or to be read."""

import asyncio
import base64
import hashlib
import json
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Scope

from deployments.fakes.video import FakeVideo
from serve_app.api.app import create_app
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.image.images import Size
from serve_app.core.options.fake import FakeOptions
from serve_app.core.text.embeddings import Embed, Embeddings
from serve_app.core.video.generation import GeneratedVideo, GenerateVideo, VideoEvent
from tests.api.conftest import FAMILIES, MakeContext

INPUTS, DIMENSIONS = 2048, 1024
VIDEO_BYTES = 200 * 1024 * 1024
MOST_GROWTH = 50.0
"""Of the longest pause between two tokens, beside what an idle server pauses."""
LEAST_S = 0.002
"""Of the event loop's own time: what every token costs by itself, and the clock's noise."""
LARGEST_PIECE = 1024 * 1024
PIECE_BYTES = 64 * 1024
FAST_CHAT = {
    "name": "chat",
    "options": {"engine": "fake", "task": "chat", "tokens_per_s": 200, "context_length": 100_000},
    "models": [{"id": "echo", "created": 1}],
}


class ManyVectors:
    """Embeds whatever it is given as the same long vectors."""

    async def embed(self, request: Embed) -> Embeddings:
        vector = struct.pack(f"<{DIMENSIONS}f", *(1 / (i + 3) for i in range(DIMENSIONS)))
        count = len(request.texts)
        return Embeddings(vectors=(vector,) * count, dimensions=DIMENSIONS, prompt_tokens=count)


class LongVideo(FakeVideo):
    """Has made a video of 200 MiB before it was asked."""

    def __init__(self, blobs: FsspecBlobStore) -> None:
        super().__init__(FakeOptions(task="video"), Model(id="lights"), blobs=blobs)

    async def generate_video(self, request: GenerateVideo) -> AsyncGenerator[VideoEvent]:
        blob = await self.blobs.write(_megabytes(VIDEO_BYTES), mime="video/mp4")
        size = Size(width=64, height=48)
        yield GeneratedVideo(video=blob, size=size, fps=8, num_frames=5, duration_s=0.6, seed=1)


async def _megabytes(count: int) -> AsyncGenerator[bytes]:
    for _ in range(count // LARGEST_PIECE):
        yield b"\x01" * LARGEST_PIECE


@dataclass
class Heard:
    """What a client got, and the loop's own time at each piece; bodies are kept if asked for."""

    keeps: bool = True
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 0
    largest: int = 0
    body: bytearray = field(default_factory=bytearray)
    at_s: list[float] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        piece = message.get("body", b"")
        self.at_s.append(time.thread_time())
        self.size += len(piece)
        self.largest = max(self.largest, len(piece))
        if self.keeps:
            self.body += piece

    @property
    def longest_pause_s(self) -> float:
        pauses = [after - before for before, after in zip(self.at_s, self.at_s[1:], strict=False)]
        return max(max(pauses), LEAST_S)


Call = Callable[[str, Any, Heard], Awaitable[Heard]]


@pytest.fixture
def call(make_context: MakeContext, tmp_path: Path) -> Call:
    """Posts JSON to the app as a server does, so that no client's work is on the loop; without a
    body it gets.
    """
    families = [FAST_CHAT if family["name"] == "chat" else family for family in FAMILIES]
    video = LongVideo(FsspecBlobStore(tmp_path / "blobs"))
    app = create_app(
        make_context(
            families=families,
            pipelines=[{"name": "video-generation"}],
            runs={"embeddings": ManyVectors(), "video": video},
        )
    )

    async def posted(path: str, body: Any, heard: Heard) -> Heard:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        starts = iter(range(0, len(content), PIECE_BYTES))

        async def receive() -> Message:
            start = next(starts, None)
            if start is None:
                await asyncio.Event().wait()
                raise AssertionError
            end = start + PIECE_BYTES
            body = content[start:end]
            return {"type": "http.request", "body": body, "more_body": end < len(content)}

        await app(_scope(path, len(content)), receive, heard.send)
        return heard

    return posted


def _scope(path: str, length: int) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST" if length else "GET",
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"content-type", b"application/json"),
            (b"content-length", str(length).encode()),
        ],
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 123),
        "root_path": "",
        "state": {},
    }


async def longest_pause_s(call: Call, beside: Callable[[], Awaitable[Any]]) -> float:
    """Between two tokens of a stream, while `beside` runs: of the time that the event loop was
    busy, which is the same on a machine that does other things as well.
    """
    heard = Heard(keeps=False)
    messages = [{"role": "user", "content": "word " * 50_000}]
    body = {"model": "echo", "messages": messages, "stream": True}
    stream = asyncio.ensure_future(call("/v1/chat/completions", body, heard))
    try:
        async with asyncio.timeout(60):
            while len(heard.at_s) < 20:
                await asyncio.sleep(0.01)
        del heard.at_s[:-1]
        await beside()
        begun = len(heard.at_s)
        async with asyncio.timeout(60):
            while len(heard.at_s) < begun + 2:
                await asyncio.sleep(0.01)
    finally:
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)
    return heard.longest_pause_s


async def idle_pause_s(call: Call) -> float:
    return await longest_pause_s(call, lambda: asyncio.sleep(0.5))


async def test_many_vectors_hold_no_stream_up(call: Call) -> None:
    heard = Heard()
    body = {"model": "digest", "input": ["x"] * INPUTS}
    idle = await idle_pause_s(call)
    pause = await longest_pause_s(call, lambda: call("/v1/embeddings", body, heard))
    assert pause < idle * MOST_GROWTH, f"{pause:.3f} s where an idle server pauses {idle:.4f}"
    answer = json.loads(heard.body)
    assert [item["index"] for item in answer["data"]] == list(range(INPUTS))
    floats = struct.unpack(f"<{DIMENSIONS}f", struct.pack(f"<{DIMENSIONS}f", *_first(answer)))
    assert all(_first(answer) == item["embedding"] for item in answer["data"])
    assert list(floats) == _first(answer)
    assert heard.largest < LARGEST_PIECE


def _first(answer: Any) -> list[float]:
    values: list[float] = answer["data"][0]["embedding"]
    return values


async def test_a_video_in_base64_holds_no_stream_up_and_is_never_in_memory_whole(
    call: Call,
) -> None:
    heard = Heard(keeps=False)
    body = {"prompt": "a boat", "width": 64, "height": 48, "num_frames": 5}
    wanted = body | {"response_format": "b64_mp4"}
    idle = await idle_pause_s(call)
    pause = await longest_pause_s(call, lambda: call("/v1/video/generations", wanted, heard))
    assert heard.status == 200
    assert pause < idle * MOST_GROWTH, f"{pause:.3f} s where an idle server pauses {idle:.4f}"
    assert heard.size == int(heard.headers["content-length"]) > VIDEO_BYTES * 4 // 3
    assert heard.largest < LARGEST_PIECE


async def test_an_audio_in_base64_holds_no_stream_up_while_it_comes(call: Call) -> None:
    audio = b"RIFF\xff\xff\xff\x7fWAVEfmt " + bytes(VIDEO_BYTES)
    body = b'{"filename":"a.wav","file":"data:audio/wav;base64,%s"}' % base64.b64encode(audio)
    heard = Heard()
    idle = await idle_pause_s(call)
    pause = await longest_pause_s(call, lambda: call("/v1/files/upload", body, heard))
    assert heard.status == 200, heard.body
    assert pause < idle * MOST_GROWTH, f"{pause:.3f} s where an idle server pauses {idle:.4f}"
    answer = json.loads(heard.body)
    assert answer["bytes"] == len(audio)
    assert answer["id"] == f"sha256:{hashlib.sha256(audio).hexdigest()}"
    assert answer["existed"] is False


async def test_the_description_of_the_server_holds_no_stream_up(call: Call) -> None:
    heard = Heard()
    idle = await idle_pause_s(call)
    pause = await longest_pause_s(call, lambda: call("/openapi.json", b"", heard))
    assert pause < idle * MOST_GROWTH, f"{pause:.3f} s where an idle server pauses {idle:.4f}"
    assert "/v1/chat/completions" in json.loads(heard.body)["paths"]


async def test_a_long_text_that_looks_like_a_medium_is_the_text_that_was_sent(call: Call) -> None:
    text = base64.b64encode(bytes(range(256)) * 8000).decode()
    body = {"model": "echo", "messages": [{"role": "user", "content": text}]}
    heard = await call("/v1/chat/completions", body, Heard())
    assert json.loads(heard.body)["choices"][0]["message"]["content"] == text
    refused = await call("/v1/audio/speech", {"input": "x", "voice": text}, Heard())
    error = json.loads(refused.body)["error"]
    assert (refused.status, error["param"]) == (400, "voice")


async def test_what_is_no_medium_of_a_body_has_a_limit(call: Call) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "a b " * 5_000_000}]}
    heard = await call("/v1/chat/completions", body, Heard())
    assert heard.status == 413
    assert json.loads(heard.body)["error"]["code"] == "payload_too_large"
