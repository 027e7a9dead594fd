"""Diarization: who speaks when, and segments of a transcript by speaker."""

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import groupby
from string import ascii_uppercase
from typing import Protocol

from pydantic import Field

from serve_app.core.audio.transcription import TranscriptSegment, Word
from serve_app.core.engine import Engine
from serve_app.core.media import Blob
from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation
from serve_app.core.tracks import AudioTrack


class SpeakerTurn(Message):
    """A stretch in which one person speaks, in seconds."""

    start: float
    end: float
    speaker: str


class Diarization(Message):
    """The last item: turns in time order, speakers named `A`, `B` … as they are first heard."""

    turns: tuple[SpeakerTurn, ...]
    warnings: tuple[Notice, ...] = ()


class Diarize(Operation[Diarization]):
    """Tell the speakers in `audio` apart. `num_speakers` None estimates how many there are."""

    name, task, verb = "audio.diarization", "diarization", "diarize"

    model: str
    audio: Blob
    num_speakers: int | None = Field(default=None, ge=1)
    audio_track: AudioTrack | None = None


DiarizationEvent = Progress | Diarization


class Diarizer(Engine, Protocol):
    """Tells speakers apart."""

    def diarize(self, request: Diarize) -> AsyncIterator[DiarizationEvent]:
        """Progress in seconds of audio, last the result. InvalidRequest with `param` `file` for
        bytes that hold no audio that can be decoded.
        """
        ...


def speaker_name(number: int) -> str:
    """`A` to `Z`, then `AA`, `AB` …"""
    before, letter = divmod(number, len(ascii_uppercase))
    return (speaker_name(before - 1) if before else "") + ascii_uppercase[letter]


def by_speaker(segment: TranscriptSegment, turns: Sequence[SpeakerTurn]) -> list[TranscriptSegment]:
    """The segment cut between words where the speaker changes; their texts joined by a space are
    its text. Without turns nobody is named, without words it has the speaker of most of it.
    """
    if not turns or len(segment.words) < 2 or _words_text(segment.words) != segment.text:
        speaker = _speaker(segment.start, segment.end, turns)
        return [segment.model_copy(update={"speaker": speaker})]
    spoken = [(_speaker(word.start, word.end, turns), word) for word in segment.words]
    parts = [(who, [word for _, word in group]) for who, group in groupby(spoken, lambda w: w[0])]
    if len(parts) == 1:
        return [segment.model_copy(update={"speaker": parts[0][0]})]
    return [_part(segment, who, words) for who, words in parts]


def _part(segment: TranscriptSegment, speaker: str | None, words: list[Word]) -> TranscriptSegment:
    return segment.model_copy(
        update={
            "start": words[0].start,
            "end": words[-1].end,
            "text": _words_text(words),
            "words": tuple(words),
            "speaker": speaker,
        }
    )


def _words_text(words: Iterable[Word]) -> str:
    return " ".join(word.word for word in words)


def _speaker(start: float, end: float, turns: Sequence[SpeakerTurn]) -> str | None:
    """Who speaks most of that time; in a pause, who speaks next to it."""
    if not turns:
        return None
    shares: dict[str, float] = {}
    for turn in turns:
        share = min(end, turn.end) - max(start, turn.start)
        if share > 0:
            shares[turn.speaker] = shares.get(turn.speaker, 0.0) + share
    if shares:
        return max(shares, key=lambda speaker: shares[speaker])
    middle = (start + end) / 2
    return min(turns, key=lambda turn: max(turn.start - middle, middle - turn.end)).speaker
