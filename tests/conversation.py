"""Voices of espeak-ng that take turns, and how well their turns were found."""

from collections.abc import Iterable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from serve_app.core.audio.diarization import SpeakerTurn
from serve_app.core.audio.speech import AudioChunk, Speak
from tests.material import decoded, espeak, wav

RATE = 16_000
PAUSE_S = 0.5
SENTENCES = (
    "The quick brown fox jumps over the lazy dog near the river bank.",
    "She sells sea shells by the sea shore every summer morning.",
    "Please bring your report to the meeting tomorrow afternoon.",
    "I think we should leave early because the weather looks bad.",
    "There are many reasons why people like to read old books.",
    "My brother bought a new car and drove it to the mountains.",
    "Can you tell me where the nearest station is, please?",
    "Nothing is more important than a good night of sleep.",
)


class Conversation(NamedTuple):
    """Samples at 16 kHz, and who speaks when: start and end in seconds and the voice's number."""

    samples: np.ndarray[Any, np.dtype[np.float64]]
    spoken: tuple[tuple[float, float, int], ...]

    @property
    def wav(self) -> bytes:
        return wav((self.samples * 32_767).astype("<i2").tobytes())


async def conversation(folder: Path, voices: Sequence[str], *, sentences: int) -> Conversation:
    """The voices one after the other, with pauses."""
    parts: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    spoken = []
    at = 0
    for number in range(sentences):
        who = number % len(voices)
        audio = await _said(folder, voices[who], SENTENCES[number % len(SENTENCES)])
        spoken.append((at / RATE, (at + len(audio)) / RATE, who))
        parts += [audio, np.zeros(round(PAUSE_S * RATE))]
        at += len(audio) + round(PAUSE_S * RATE)
    return Conversation(np.concatenate(parts), tuple(spoken))


async def _said(folder: Path, voice: str, text: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    request = Speak(model="espeak-ng", text=text, voice=voice, format="wav")
    events = espeak(folder).speak(request)
    audio = decoded(b"".join([e.data async for e in events if isinstance(e, AudioChunk)]))
    moments = np.arange(0, len(audio.samples), audio.sample_rate / RATE)
    return np.asarray(np.interp(moments, np.arange(len(audio.samples)), audio.samples))


def rightly_named(known: Conversation, turns: Iterable[SpeakerTurn]) -> float:
    """The share of the spoken time in which the right one is named, under the names' best
    meaning. Speech that no turn covers counts as wrong, but for espeak-ng's own quarter of a second
    of silence at the end of a sentence.
    """
    turns = tuple(turns)
    names = sorted({turn.speaker for turn in turns})
    people = sorted({who for *_, who in known.spoken})
    shared = {
        (name, who): sum(
            max(0.0, min(turn.end, end) - max(turn.start, start))
            for turn in turns
            if turn.speaker == name
            for start, end, speaker in known.spoken
            if speaker == who
        )
        for name in names
        for who in people
    }
    total = sum(end - start - 0.25 for start, end, _ in known.spoken)
    size = max(len(names), len(people))
    padded = [*names, *[""] * (size - len(names))]
    meanings = permutations(padded, len(people))
    best = max(
        sum(shared.get(pair, 0.0) for pair in zip(meaning, people, strict=True))
        for meaning in meanings
    )
    return min(1.0, best / total)
