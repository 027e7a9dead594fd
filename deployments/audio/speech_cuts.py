"""A long audio in pieces that end in pauses, for models that take some seconds at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deployments.audio.audio_decoding import SPEECH_RATE

LONGEST_S = 15.0
SEARCHED_S = 5.0
"""How much at the end of a piece is searched for the quietest moment."""
FRAME = SPEECH_RATE // 50
SILENT_PEAK = 100
"""Of signed 16-bit samples; a piece without louder ones says nothing."""


@dataclass(frozen=True)
class SpeechCut:
    """Signed 16-bit mono at 16 kHz."""

    pcm: bytes

    @property
    def is_silent(self) -> bool:
        """Whether nobody can be heard."""
        samples = np.frombuffer(self.pcm, dtype="<i2").astype(np.int32)
        return bool(np.abs(samples).max(initial=0) < SILENT_PEAK)

    @property
    def duration_s(self) -> float:
        """In seconds."""
        return len(self.pcm) / 2 / SPEECH_RATE


def pieces_at_pauses(blocks: Iterator[bytes]) -> Iterator[SpeechCut]:
    """All of the audio, at most `LONGEST_S` at a time. Holds one piece."""
    held = bytearray()
    longest = round(LONGEST_S * SPEECH_RATE) * 2
    for block in blocks:
        held += block
        while len(held) > longest:
            end = _quietest(bytes(held[:longest]))
            yield SpeechCut(bytes(held[:end]))
            del held[:end]
    if held:
        yield SpeechCut(bytes(held))


def _quietest(pcm: bytes) -> int:
    """Where in bytes the quietest moment of the last seconds is."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    searched = round(SEARCHED_S * SPEECH_RATE) // FRAME * FRAME
    frames = samples[len(samples) - searched :].reshape(-1, FRAME)
    quietest = int(np.argmin((frames**2).sum(axis=1)))
    return 2 * (len(samples) - searched + quietest * FRAME + FRAME // 2)
