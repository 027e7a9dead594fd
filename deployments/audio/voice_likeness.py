"""How a voice has to be reshaped to be like another one."""

from collections.abc import Callable, Iterator

import numpy as np

from deployments.audio.audio_decoding import SPEECH_RATE, first_seconds
from deployments.audio.pitch import HIGHEST_SPOKEN_HZ
from deployments.audio.rubberband import Reshaping, reshaped
from deployments.audio.voice_character import VoiceCharacter, measured_character, timbre_gains

TRIAL_S = 30.0
"""How much of what is heard is reshaped on trial, to see what is left to do."""
AUDIBLE_PEAK = 300
"""Of signed 16-bit samples; blocks without such are pauses."""
MOST_CORRECTED = 1.06
"""A semitone: a trial that is further off has heard something else."""


def voice_change(
    target: VoiceCharacter,
    own: VoiceCharacter,
    blocks: Iterator[bytes],
    stop: Callable[[], bool],
    *,
    highest_hz: float = HIGHEST_SPOKEN_HZ,
) -> Reshaping:
    """From the voice in `blocks`, 16-bit mono at 16 kHz, whose character is `own`. Moving the pitch
    changes the spectrum as well, so that the gains are those that a trial lacks.
    """
    if own.pitch_hz is None or target.pitch_hz is None:
        return Reshaping()
    pitch = target.pitch_hz / own.pitch_hz
    trial = reshaped(
        first_seconds(_without_pauses(blocks), TRIAL_S),
        Reshaping(pitch),
        rate=SPEECH_RATE,
        out_rate=SPEECH_RATE,
        stop=stop,
    )
    found = measured_character(trial, stop, highest_hz=highest_hz)
    correction = target.pitch_hz / (found.pitch_hz or target.pitch_hz)
    if 1 / MOST_CORRECTED < correction < MOST_CORRECTED:
        pitch *= correction
    return Reshaping(pitch, gains_db=timbre_gains(found, target))


def _without_pauses(blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        if np.abs(np.frombuffer(block, dtype="<i2").astype(np.int32)).max(initial=0) > AUDIBLE_PEAK:
            yield block
