"""Turns the stream of an operation into its one result."""

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from serve_app.core.audio.speech import (
    AUDIO_MIME,
    AudioChunk,
    CloneEvent,
    CloneSpeech,
    Speak,
    SpeechEnd,
    SpokenAudio,
)
from serve_app.core.audio.wav import sized
from serve_app.core.errors import UpstreamError
from serve_app.core.media import BlobStore
from serve_app.core.message import Message, Progress
from serve_app.core.operation import Operation
from serve_app.core.text.chat import Chat, ChatEvent, CollectedText, Complete
from serve_app.runtime.streams import closing, gathered, once


async def outcome(
    operation: Operation[Any],
    events: AsyncIterator[Message],
    *,
    blobs: BlobStore,
    report: Callable[[Progress], None],
) -> Message:
    """Run the stream to its end and close it. UpstreamError when it ends without a result."""
    if isinstance(operation, Chat | Complete):
        said = cast("list[ChatEvent]", await gathered(events))
        return CollectedText(events=tuple(said))
    if isinstance(operation, Speak | CloneSpeech):
        return await _spoken(operation, cast("AsyncIterator[CloneEvent]", events), blobs, report)
    kind = operation.result
    result: Message | None = None
    async with closing(events):
        # To its end: what the work cost comes after the result.
        async for event in events:
            if isinstance(event, Progress):
                report(event)
            elif isinstance(event, kind):
                result = event
    if result is None:
        raise UpstreamError(f"{operation.name!r} ended without a result")
    return result


async def _spoken(
    operation: Speak | CloneSpeech,
    events: AsyncIterator[CloneEvent],
    blobs: BlobStore,
    report: Callable[[Progress], None],
) -> SpokenAudio:
    data = bytearray()
    end: SpeechEnd | None = None
    async with closing(events):
        async for event in events:
            if isinstance(event, AudioChunk):
                data += event.data
            elif isinstance(event, Progress):
                report(event)
            else:
                end = event
    if end is None:
        raise UpstreamError(f"model {operation.model!r} stopped before the end of the text")
    audio = await blobs.write(once(sized(bytes(data))), mime=AUDIO_MIME[operation.format])
    return SpokenAudio(audio=audio, duration_s=end.duration_s, warnings=end.warnings)
