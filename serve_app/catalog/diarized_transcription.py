"""Transcription with speaker labels: what is said, and who says it."""

from collections.abc import AsyncGenerator, AsyncIterator

from serve_app.core.audio.diarization import Diarization, Diarize, by_speaker
from serve_app.core.audio.transcription import (
    SpeakerLabels,
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptSegment,
)
from serve_app.core.errors import UpstreamError
from serve_app.core.message import Progress
from serve_app.core.operation import Run
from serve_app.runtime.streams import closing


async def transcribed(
    run: Run, request: Transcribe, speakers: SpeakerLabels
) -> AsyncGenerator[TranscriptionEvent]:
    """As TranscriptionModel, by the models that the request names. Speakers are identified before
    anything is transcribed, so that segments have them as they come.
    """
    diarization = None
    operation = Diarize(
        model=speakers.model,
        audio=request.audio,
        num_speakers=speakers.num_speakers,
        audio_track=request.audio_track,
    )
    turns = run(operation)
    async with closing(turns):
        async for event in turns:
            if isinstance(event, Progress):
                yield event
            else:
                diarization = event
    if diarization is None:
        raise UpstreamError(f"{speakers.model!r} found no speakers")
    transcription = run(request.model_copy(update={"speakers": None}))
    async with closing(transcription):
        async for item in _labelled(transcription, diarization):
            yield item


async def _labelled(
    events: AsyncIterator[TranscriptionEvent], diarization: Diarization
) -> AsyncGenerator[TranscriptionEvent]:
    """The same with speakers; segments are renumbered."""
    given = 0
    async for event in events:
        if isinstance(event, TranscriptSegment):
            parts = _numbered(by_speaker(event, diarization.turns), given)
            given += len(parts)
            for part in parts:
                yield part
        elif isinstance(event, Transcript):
            parts = [p for s in event.segments for p in by_speaker(s, diarization.turns)]
            yield event.model_copy(
                update={
                    "segments": tuple(_numbered(parts, 0)),
                    "warnings": (*event.warnings, *diarization.warnings),
                }
            )
        else:
            yield event


def _numbered(segments: list[TranscriptSegment], first: int) -> list[TranscriptSegment]:
    return [s.model_copy(update={"id": i}) for i, s in enumerate(segments, start=first)]
