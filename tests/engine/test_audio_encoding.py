"""Encoding, decoding and stretching on tones whose length and pitch are known."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from deployments.audio.audio_decoding import speech_blocks
from deployments.audio.audio_encoding import AudioEncoder, encode
from deployments.audio.audio_tempo import TempoFilter
from serve_app.core.audio.speech import AudioFormat
from serve_app.core.errors import InvalidRequest
from tests.material import clip, decoded, silence, tone, wav

FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
PIECE = 2 * 441


def pieces(pcm: bytes, size: int = PIECE) -> Iterator[bytes]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def encoded(encoder: AudioEncoder, pcm: bytes, size: int = PIECE) -> list[bytes]:
    return [*(encoder.push(piece) for piece in pieces(pcm, size)), encoder.finish()]


def playable(audio_format: AudioFormat, data: bytes) -> bytes:
    return wav(data, sample_rate=24_000) if audio_format == "pcm" else data


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_tone_keeps_its_pitch_and_length(audio_format: AudioFormat, sample_rate: int) -> None:
    pcm = tone(1.0, hz=1000.0, sample_rate=sample_rate)
    data = b"".join(encoded(encode(audio_format, sample_rate), pcm))
    audio = decoded(playable(audio_format, data))
    assert audio.channels == 1
    assert audio.duration_s == pytest.approx(1.0, abs=3 * 1152 / sample_rate)
    assert audio.pitch_hz() == pytest.approx(1000.0, abs=3)
    assert audio.loudness(0.2, 0.8) == pytest.approx(11_000 / 32_768 / 2**0.5, rel=0.1)


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_lossless_formats_give_the_samples_back(audio_format: AudioFormat) -> None:
    pcm = tone(0.5, sample_rate=22_050)
    audio = decoded(b"".join(encoded(encode(audio_format, 22_050), pcm)))
    samples = np.round(audio.samples * 32_768).astype("<i2")
    assert samples.tobytes() == pcm


@pytest.mark.parametrize("audio_format", FORMATS)
def test_bytes_leave_while_the_audio_is_produced(audio_format: AudioFormat) -> None:
    parts = encoded(encode(audio_format, 22_050), tone(4.0, sample_rate=22_050))
    sizes = list(itertools.accumulate(map(len, parts)))
    # At every moment no more than half a second is held back.
    for position, size in enumerate(sizes):
        assert size >= sizes[-1] * (position * 0.02 - 0.5) / 4.0


@pytest.mark.parametrize("audio_format", FORMATS)
def test_pieces_of_any_size_and_empty_ones_change_nothing(audio_format: AudioFormat) -> None:
    pcm = tone(0.3, sample_rate=22_050)
    whole = encode(audio_format, 22_050)
    parts = encode(audio_format, 22_050)
    expected = decoded(playable(audio_format, whole.push(pcm) + whole.finish()))
    data = b"".join(parts.push(b"") + parts.push(piece) for piece in pieces(pcm, 2 * 7))
    found = decoded(playable(audio_format, data + parts.finish()))
    assert len(found.samples) == len(expected.samples)
    # Samples are rounded at other places where a resampler gets them in other pieces.
    assert np.max(np.abs(found.samples - expected.samples)) < 0.01


@pytest.mark.parametrize("audio_format", FORMATS)
def test_no_samples_are_no_error(audio_format: AudioFormat) -> None:
    encoder = encode(audio_format, 22_050)
    assert isinstance(encoder.push(b"") + encoder.finish(), bytes)


@pytest.mark.parametrize("factor", [0.1, 0.25, 0.8, 1.0, 1.25, 2.0, 3.0, 8.0])
def test_tempo_divides_the_duration_and_keeps_the_pitch(factor: float) -> None:
    tempo = TempoFilter(22_050, factor)
    pcm = tone(2.0, sample_rate=22_050)
    stretched = b"".join([*(tempo.push(piece) for piece in pieces(pcm)), tempo.finish()])
    audio = decoded(wav(stretched, sample_rate=22_050))
    assert audio.duration_s == pytest.approx(2.0 / factor, rel=0.05, abs=0.05)
    assert audio.pitch_hz() == pytest.approx(440.0, abs=15)


def test_a_tempo_of_one_leaves_the_samples_alone() -> None:
    tempo = TempoFilter(22_050, 1.0)
    assert tempo.push(b"\x01\x02") + tempo.finish() == b"\x01\x02"


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "opus", "flac", "aac"])
def test_every_format_is_heard_as_16_khz_mono(audio_format: AudioFormat, tmp_path: Path) -> None:
    path = tmp_path / "sound"
    pcm = tone(1.0, sample_rate=22_050)
    path.write_bytes(b"".join(encoded(encode(audio_format, 22_050), pcm)))
    audio = decoded(wav(b"".join(speech_blocks(path, param="file"))))
    assert audio.duration_s == pytest.approx(1.0, abs=0.16)
    assert audio.pitch_hz() == pytest.approx(440.0, abs=3)


def test_the_audio_of_a_video_is_heard(tmp_path: Path) -> None:
    path = clip(tmp_path / "video.mp4", 1.0, audio=tone(1.0))
    assert decoded(wav(b"".join(speech_blocks(path, param="file")))).pitch_hz() == pytest.approx(
        440.0, abs=3
    )


def test_a_damaged_middle_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp3"
    data = bytearray(b"".join(encoded(encode("mp3", 22_050), tone(3.0, sample_rate=22_050))))
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\xff\xfb\x00" * 666 + b"\0\0"
    path.write_bytes(data)
    heard = b"".join(speech_blocks(path, param="file"))
    assert len(heard) / 32_000 == pytest.approx(3.0, abs=0.8)


@pytest.mark.parametrize(
    "data",
    [b"", b"no audio", b"RIFF\x24\0\0\0WAVEfmt ", wav(silence(1.0))[:30], b"ID3\x04\0\0\0\0\0\0"],
)
def test_what_is_no_audio_is_refused_by_the_fields_name(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sound"
    path.write_bytes(data)
    with pytest.raises(InvalidRequest) as caught:
        list(speech_blocks(path, param="file"))
    assert caught.value.param == "file"
    assert not caught.value.message.startswith("file")
    assert str(tmp_path) not in caught.value.message


def test_a_video_without_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="there is no audio in this file") as caught:
        list(speech_blocks(clip(tmp_path / "video.mp4", 0.5), param="video"))
    assert caught.value.param == "video"
