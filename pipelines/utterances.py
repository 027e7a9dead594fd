"""Spoken lines as stored audio, fitted into the time that they have."""

from collections.abc import AsyncGenerator

from serve_app.core.audio.speech import AudioChunk, CloneSpeech, Speak, SpeechEnd
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.operation import Run
from serve_app.runtime.streams import closing

MOST_STRETCH = 0.25
INAUDIBLE_STRETCH = 0.03


class Utterance(Message):
    """A line as it is heard, WAV."""

    audio: Blob
    duration_s: float
    warnings: tuple[Notice, ...] = ()


async def speak_line(run: Run, blobs: BlobStore, operation: Speak | CloneSpeech) -> Utterance:
    """Speak a line; the audio goes from the engine to the store as it comes."""
    spoken: list[SpeechEnd] = []

    async def data() -> AsyncGenerator[bytes]:
        events = run(operation)
        async with closing(events):
            async for event in events:
                if isinstance(event, AudioChunk):
                    yield event.data
                elif isinstance(event, SpeechEnd):
                    spoken.append(event)

    chunks = data()
    async with closing(chunks):
        audio = await blobs.write(chunks, mime="audio/wav")
    end = spoken[-1] if spoken else SpeechEnd(duration_s=0.0, characters=0)
    return Utterance(audio=audio, duration_s=end.duration_s, warnings=end.warnings)


async def fit_to_slot(
    run: Run, blobs: BlobStore, operation: Speak | CloneSpeech, slot_s: float
) -> Utterance:
    """A line spoken as it comes, and where that does not fill its slot again at another speed, so
    that it lasts at most a quarter longer or shorter than of itself.
    """
    line = await speak_line(run, blobs, operation)
    if line.duration_s == 0:
        return line
    stretch = min(1 + MOST_STRETCH, max(1 - MOST_STRETCH, slot_s / line.duration_s))
    if abs(stretch - 1) < INAUDIBLE_STRETCH:
        return line
    faster = operation.model_copy(update={"speed": operation.speed / stretch})
    return await speak_line(run, blobs, faster)
