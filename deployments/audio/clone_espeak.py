"""espeak-ng in the likeness of another voice: its speech moved to the pitch and the average
spectrum of a reference.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing as closed
from dataclasses import dataclass, replace
from pathlib import Path

from deployments.audio.audio_decoding import first_seconds, speech_blocks
from deployments.audio.audio_encoding import encode
from deployments.audio.pcm_wav import written_wav
from deployments.audio.rubberband import reshaped
from deployments.audio.voice_character import VoiceCharacter, measured_character
from deployments.audio.voice_likeness import voice_change
from serve_app.core.audio.speech import REFERENCE_S, AudioChunk, CloneEvent, CloneSpeech, SpeechEnd
from serve_app.core.errors import InvalidRequest
from serve_app.core.message import Progress
from serve_app.core.notices import Notice

BEST_EFFORT = Notice(
    text="cloned by signal processing, not by a trained model: espeak-ng speaks with the "
    "reference's pitch and average spectrum; accent and finer timbre are not cloned"
)
HIGH_VOICE_HZ = 155.0
HIGH_VARIANT = "f2"
"""Of espeak-ng's voices the one that high voices are moved from, so that formants fit better."""

Stop = Callable[[], bool]
Synthesize = Callable[[str], Iterator[bytes]]
"""The text in the voice variant given, as signed 16-bit mono; an empty name is the plain voice."""


@dataclass(frozen=True)
class EspeakAudio:
    """What espeak-ng brings: its audio, the audio's rate, and the factor of the duration that is
    left to reach the speed asked for.
    """

    synthesize: Synthesize
    sample_rate: int
    duration: float


def cloned(
    request: CloneSpeech, reference: Path, performance: EspeakAudio, stop: Stop
) -> Iterator[CloneEvent]:
    """The speech as it is moved. Blocks. See SpeechModel."""
    voice = reference_character(reference, stop)
    if stop():
        return
    with tempfile.TemporaryDirectory(prefix="clone-") as folder:
        plain = Path(folder) / "plain.wav"
        samples = 0
        for count in _performed(performance, voice, plain):
            if stop():
                return
            samples = count
        yield from _moved(request, performance, plain, voice, samples, stop)


def reference_character(path: Path, stop: Stop) -> VoiceCharacter:
    """Of the first seconds. InvalidRequest where nobody speaks in them."""
    blocks = first_seconds(speech_blocks(path, param="reference"), REFERENCE_S)
    character = measured_character(blocks, stop)
    if character.pitch_hz is None and not stop():
        raise InvalidRequest(
            f"no voice was detected in the first {REFERENCE_S:.0f} seconds of the reference",
            remedy="send a recording with speech",
            param="reference",
        )
    return character


def _performed(performance: EspeakAudio, voice: VoiceCharacter, plain: Path) -> Iterator[int]:
    """Writes what espeak-ng says; yields how many samples there are."""
    variant = HIGH_VARIANT if (voice.pitch_hz or 0) > HIGH_VOICE_HZ else ""
    pcm = performance.synthesize(variant)
    yield from written_wav(plain, pcm, sample_rate=performance.sample_rate, param="text")


def _moved(
    request: CloneSpeech,
    performance: EspeakAudio,
    plain: Path,
    voice: VoiceCharacter,
    total: int,
    stop: Stop,
) -> Iterator[CloneEvent]:
    rate, samples = performance.sample_rate, 0
    encoder = encode(request.format, rate)
    for pcm in _reshaped(performance, plain, voice, total, stop):
        samples += len(pcm) // 2
        if data := encoder.push(pcm):
            yield AudioChunk(data=data)
        total_s = max(1, round(total * performance.duration / rate))
        yield Progress(phase="clone", current=min(total_s, samples // rate), total=total_s)
    if stop():
        return
    if data := encoder.finish():
        yield AudioChunk(data=data)
    yield SpeechEnd(
        duration_s=samples / rate,
        characters=len(request.text),
        warnings=(BEST_EFFORT, *_without_effect(request)),
    )


def _reshaped(
    performance: EspeakAudio, plain: Path, voice: VoiceCharacter, total: int, stop: Stop
) -> Iterator[bytes]:
    """Nothing where espeak-ng found nothing to say."""
    if not total:
        return
    own = measured_character(speech_blocks(plain, param="text"), stop)
    wanted = voice_change(voice, own, speech_blocks(plain, param="text"), stop)
    wanted = replace(wanted, duration=performance.duration)
    rate = performance.sample_rate
    blocks = speech_blocks(plain, param="text", rate=rate)
    with closed(reshaped(blocks, wanted, rate=rate, out_rate=rate, stop=stop)) as audio:
        yield from audio


def _without_effect(request: CloneSpeech) -> Iterator[Notice]:
    if request.seed is not None:
        yield Notice(field="seed", text="has no effect: espeak-ng is deterministic")
