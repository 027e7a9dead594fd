"""Transcripts on the wire: JSON, text, subtitles, and frames while segments are heard."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from serve_app.api.sse import frame
from serve_app.core.streams import closing
from serve_app.core.subtitles import Granularity, cues, srt, vtt
from serve_app.core.transcription import Segment, Transcript, TranscriptionEvent


def transcript_body(
    transcript: Transcript, *, response_format: str, task: str, granularity: Granularity | None
) -> dict[str, Any] | str:
    """JSON, or the text of the forms that are text."""
    is_subtitle = response_format in ("srt", "vtt")
    segments = cues(transcript.segments, granularity or ("subtitle" if is_subtitle else "sentence"))
    match response_format:
        case "text":
            return transcript.text + "\n"
        case "srt":
            return srt(segments)
        case "vtt":
            return vtt(segments)
        case "verbose_json":
            body = verbose(transcript, segments, task)
        case _:
            body = {"text": transcript.text, "usage": usage(transcript)}
    if transcript.warnings:
        body["warnings"] = list(transcript.warnings)
    return body


def verbose(transcript: Transcript, segments: tuple[Segment, ...], task: str) -> dict[str, Any]:
    """OpenAI's verbose form; word times are always there."""
    return {
        "task": task,
        "language": transcript.language,
        "duration": round(transcript.duration_s, 3),
        "text": transcript.text,
        "segments": [_segment(segment) for segment in segments],
        "words": [_word(word) for segment in segments for word in segment.words],
        "usage": usage(transcript),
    }


async def transcription_frames(
    events: AsyncIterator[TranscriptionEvent],
) -> AsyncGenerator[bytes]:
    """A delta per segment; all deltas joined are the text. No `[DONE]`."""
    is_first = True
    async with closing(events):
        async for event in events:
            if isinstance(event, Segment):
                yield frame(
                    {
                        "type": "transcript.text.delta",
                        "delta": event.text if is_first else f" {event.text}",
                        "segment": {
                            "start": event.start,
                            "end": event.end,
                            "words": [_word(word) for word in event.words],
                        },
                    }
                )
                is_first = False
            elif isinstance(event, Transcript):
                yield frame(
                    {
                        "type": "transcript.text.done",
                        "text": event.text,
                        "language": event.language,
                        "duration": round(event.duration_s, 3),
                        "usage": usage(event),
                    }
                )


def usage(transcript: Transcript) -> dict[str, Any]:
    """Speech recognition is counted in seconds of sound."""
    return {"type": "duration", "seconds": round(transcript.duration_s, 3)}


def _segment(segment: Segment) -> dict[str, Any]:
    value: dict[str, Any] = {
        "id": segment.id,
        "seek": 0,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": [],
        "words": [_word(word) for word in segment.words],
    }
    optional = ("speaker", "avg_logprob", "no_speech_prob", "compression_ratio", "temperature")
    known = {name: getattr(segment, name) for name in optional}
    return value | {name: item for name, item in known.items() if item is not None}


def _word(word: Any) -> dict[str, Any]:
    return {"word": word.word, "start": word.start, "end": word.end}
