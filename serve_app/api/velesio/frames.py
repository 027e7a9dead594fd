"""Streams of completions: Velesio's documented frames, and llama.cpp's.

LLM for Unity takes llama.cpp's apart in its own ways. Its version 2 splits what it has received at
`data: ` and makes one JSON array of the pieces; version 3 reads up to 4096 bytes at once and takes
what it has got for one JSON object. So a frame is one write of at most `FRAME_BYTES`, and holds no
`data: ` of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

from serve_app.api.answers import Tell
from serve_app.api.json_answer import dumps
from serve_app.api.openai.chat_response import usage_object
from serve_app.api.openai.completion_response import (
    completion_choice,
    completion_head,
    with_logprobs,
)
from serve_app.api.sse import DONE, frame
from serve_app.api.velesio.completion_answer import probability_list, stop_fields
from serve_app.core.text.chat import ChatDelta, ChatEvent, Usage
from serve_app.runtime.streams import closing

FRAME_BYTES = 4000
PIECE_BYTES = 3000
"""Of a text as it stands in a frame; the rest is for what else is there."""
PIECE_CHARACTERS = 2400
SURE_CHARACTERS = 400
"""Of these no text needs more, whatever has to be escaped."""
WORD_CHARACTERS = 300
GAP_S = 0.02
"""Between two writes. HAProxy makes one chunk of what it reads at once, whatever its options are:
only time keeps them apart. Measured on two processors with 14 busy processes: without a pause 440
of 960 pairs were joined, with 5 ms none.
"""


def pieces(text: str) -> Iterator[str]:
    """The text in parts of which each fits into a frame."""
    start = 0
    while start < len(text):
        piece = text[start : start + PIECE_CHARACTERS]
        if len(piece) > SURE_CHARACTERS and len(escaped(piece)) > PIECE_BYTES:
            piece = piece[:SURE_CHARACTERS]
        yield piece
        start += len(piece)


def llama_frame(value: dict[str, Any]) -> bytes:
    """One event."""
    return b"data: " + escaped(value) + b"\n\n"


def escaped(value: Any) -> bytes:
    """As JSON without the text `data: `: compact JSON has it in its texts only, where it may be
    escaped.
    """
    return dumps(value).replace(b"data: ", b"data\\u003a ")


async def spaced(frames: AsyncIterator[bytes], *, gap_s: float = GAP_S) -> AsyncGenerator[bytes]:
    """The frames with time between them, and before what follows their failure. Tokens come no
    faster, so that only the last one waits.
    """
    loop = asyncio.get_running_loop()
    next_at = 0.0
    async with closing(frames):
        try:
            async for frame in frames:
                await asyncio.sleep(max(0.0, next_at - loop.time()))
                yield frame
                next_at = loop.time() + gap_s
        except Exception:
            await asyncio.sleep(max(0.0, next_at - loop.time()))
            raise


async def documented_frames(
    events: AsyncIterator[ChatEvent], *, model: str, wants_usage: bool, tell: Tell
) -> AsyncGenerator[bytes]:
    """Text in frames, a last one for each choice with why it ended, usage when asked, `[DONE]`."""
    head = completion_head(model)
    offsets: dict[int, int] = {}
    warnings: list[str] = []
    async with closing(events):
        async for event in events:
            if isinstance(event, Usage):
                if wants_usage:
                    yield frame(head | {"choices": [], "usage": usage_object(event)})
                continue
            warnings += tell(event.warnings) if event.warnings else ()
            for choice in _choices(event, offsets):
                is_last = choice["finish_reason"] is not None
                more = {"warnings": warnings} if warnings and is_last else {}
                yield frame(head | {"choices": [choice], "content": choice["text"]} | more)
    yield DONE


def _choices(event: ChatDelta, offsets: dict[int, int]) -> Iterator[dict[str, Any]]:
    """The parts of an event's text, and apart from them the end."""
    offset = offsets.get(event.index, 0)
    offsets[event.index] = offset + len(event.text)
    logprobs = event.logprobs
    for text in pieces(event.text):
        choice = completion_choice(event.index)
        if logprobs:
            choice["logprobs"], logprobs = with_logprobs(choice, logprobs, offset=offset), ()
        choice["text"] = text
        yield choice
    if event.finish_reason is not None:
        yield completion_choice(event.index) | {"finish_reason": event.finish_reason}


async def llama_frames(events: AsyncIterator[ChatEvent]) -> AsyncGenerator[bytes]:
    """Text in frames, and one at the end of each prompt, whose Usage is its last event."""
    last = ChatDelta()
    async with closing(events):
        async for event in events:
            if isinstance(event, Usage):
                yield llama_frame(_end(last, event))
                continue
            last = event if event.finish_reason is not None else last
            for frame in _text_frames(event):
                yield frame


def _text_frames(event: ChatDelta) -> Iterator[bytes]:
    """Those of an event. Of its probabilities as many tokens as fit."""
    probabilities = probability_list(list(event.logprobs))
    for text in pieces(event.text):
        value = _frame_head(event.index) | {"content": text, "tokens": [], "stop": False}
        value["id_slot"] = -1
        written = llama_frame(value)
        if probabilities:
            fuller = llama_frame(value | {"completion_probabilities": probabilities})
            while probabilities and len(fuller) > FRAME_BYTES:
                probabilities = _fewer(probabilities)
                fuller = llama_frame(value | {"completion_probabilities": probabilities})
            written, probabilities = fuller, []
        yield written


def _fewer(probabilities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same without alternatives, and if there are none, without the last half of the tokens."""
    if any(item["top_logprobs"] for item in probabilities):
        return [item | {"top_logprobs": item["top_logprobs"][:-1]} for item in probabilities]
    return probabilities[: len(probabilities) // 2]


def _end(last: ChatDelta, usage: Usage) -> dict[str, Any]:
    fields = stop_fields(last, usage)
    fields["stopping_word"] = fields["stopping_word"][:WORD_CHARACTERS]
    ending = {"content": "", "tokens": [], "stop": True, "id_slot": -1, "truncated": False}
    return _frame_head(last.index) | ending | fields | {"timings": {}}


def _frame_head(index: int) -> dict[str, Any]:
    return {"index": index}
