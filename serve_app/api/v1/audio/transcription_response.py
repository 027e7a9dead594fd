"""Transcripts on the wire: JSON, text, subtitles, and frames as segments come."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from serve_app.api.answers import Tell
from serve_app.api.sse import frame
from serve_app.core.audio.transcription import Transcript, TranscriptionEvent, TranscriptSegment
from serve_app.core.video.subtitles import Granularity, cues, srt, vtt
from serve_app.runtime.streams import closing


def transcript_body(
    transcript: Transcript,
    *,
    response_format: str,
    task: str,
    granularity: Granularity | None,
    tell: Tell,
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
        case "diarized_json":
            body = diarized(transcript, segments, task)
        case _:
            body = {"text": transcript.text, "usage": usage(transcript)}
            if any(segment.speaker for segment in segments):
                body["segments"] = [_segment(segment) for segment in segments]
    if transcript.warnings:
        body["warnings"] = tell(transcript.warnings)
    return body


def verbose(
    transcript: Transcript, segments: tuple[TranscriptSegment, ...], task: str
) -> dict[str, Any]:
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


def diarized(
    transcript: Transcript, segments: tuple[TranscriptSegment, ...], task: str
) -> dict[str, Any]:
    """OpenAI's form for speakers, where ids are text."""
    return {
        "task": task,
        "duration": round(transcript.duration_s, 3),
        "text": transcript.text,
        "segments": [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{segment.id}",
                "start": segment.start,
                "end": segment.end,
                "text": segment.text,
                "speaker": segment.speaker,
            }
            for segment in segments
        ],
        "usage": usage(transcript),
    }


async def transcription_frames(
    events: AsyncIterator[TranscriptionEvent], *, tell: Tell, late_model: str | None = None
) -> AsyncGenerator[bytes]:
    """A delta per segment; all deltas joined are the text. No `[DONE]`. `late_model` is the model
    when its segments come all at the end.
    """
    if late_model is not None:
        yield frame(not_streaming(late_model))
    sent: list[str] = []
    async with closing(events):
        async for event in events:
            if isinstance(event, TranscriptSegment):
                yield frame(_delta(event, is_first=not sent))
                sent.append(event.text)
            elif isinstance(event, Transcript):
                for segment in _unsent(event, sent):
                    yield frame(_delta(segment, is_first=not sent))
                    sent.append(segment.text)
                yield frame(_done(event, tell))


def not_streaming(model: str) -> dict[str, Any]:
    """The first event for a model that returns nothing before it has transcribed everything."""
    return {
        "type": "warning",
        "code": "streaming_not_supported",
        "model": model,
        "message": f"model {model!r} does not stream; the text follows when it is complete",
    }


def _unsent(transcript: Transcript, sent: list[str]) -> tuple[TranscriptSegment, ...]:
    """What a model that does not stream gives with its result only."""
    if sent or not transcript.text:
        return ()
    if " ".join(segment.text for segment in transcript.segments) == transcript.text:
        return transcript.segments
    whole = {"id": 0, "start": 0.0, "end": transcript.duration_s, "text": transcript.text}
    return (TranscriptSegment.model_validate(whole),)


def _delta(segment: TranscriptSegment, *, is_first: bool) -> dict[str, Any]:
    times: dict[str, Any] = {
        "start": segment.start,
        "end": segment.end,
        "words": [_word(word) for word in segment.words],
    }
    if segment.speaker is not None:
        times["speaker"] = segment.speaker
    return {
        "type": "transcript.text.delta",
        "delta": segment.text if is_first else f" {segment.text}",
        "segment": times,
    }


def _done(transcript: Transcript, tell: Tell) -> dict[str, Any]:
    done: dict[str, Any] = {
        "type": "transcript.text.done",
        "text": transcript.text,
        "language": transcript.language,
        "duration": round(transcript.duration_s, 3),
        "usage": usage(transcript),
    }
    return done | {"warnings": tell(transcript.warnings)} if transcript.warnings else done


def usage(transcript: Transcript) -> dict[str, Any]:
    """Speech recognition is counted in seconds of audio."""
    return {"type": "duration", "seconds": round(transcript.duration_s, 3)}


def _segment(segment: TranscriptSegment) -> dict[str, Any]:
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
