"""Samples that are being spoken as the events of a SpeechModel."""

from collections.abc import Iterable, Iterator

from deployments.audio.audio_encoding import encode
from deployments.audio.audio_tempo import TempoFilter
from serve_app.core.audio.speech import AudioChunk, CloneSpeech, Speak, SpeechEnd, SpeechEvent
from serve_app.core.notices import Notice


def spoken(
    pieces: Iterable[bytes],
    request: Speak | CloneSpeech,
    *,
    sample_rate: int,
    tempo: float = 1.0,
    warnings: tuple[Notice, ...] = (),
) -> Iterator[SpeechEvent]:
    """Signed 16-bit mono samples, `tempo` times as fast, in the form that is asked for, then
    a SpeechEnd.
    """
    stretch = TempoFilter(sample_rate, tempo)
    encoder = encode(request.format, sample_rate)
    samples = 0
    for pcm in pieces:
        stretched = stretch.push(pcm)
        samples += len(stretched) // 2
        if data := encoder.push(stretched):
            yield AudioChunk(data=data)
    rest = stretch.finish()
    samples += len(rest) // 2
    if data := encoder.push(rest) + encoder.finish():
        yield AudioChunk(data=data)
    yield SpeechEnd(
        duration_s=samples / sample_rate, characters=len(request.text), warnings=warnings
    )
