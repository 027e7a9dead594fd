"""WAV headers of a stream and of a file."""

import io
import wave

import pytest

from deployments.audio.audio_encoding import UNKNOWN_SIZE, WavEncoder, wav_header
from serve_app.core.audio.wav import sized

SAMPLES = b"\x01\x00\x02\x00\x03\x00"


def parameters(data: bytes) -> tuple[int, int, int, bytes]:
    with wave.open(io.BytesIO(data)) as file:
        samples = file.readframes(file.getnframes())
        return file.getnchannels(), file.getsampwidth(), file.getframerate(), samples


def test_a_header_with_a_size_is_read_by_the_standard_library() -> None:
    data = wav_header(22_050, len(SAMPLES)) + SAMPLES
    assert parameters(data) == (1, 2, 22_050, SAMPLES)


def test_a_streamed_file_gets_its_real_sizes() -> None:
    encoder = WavEncoder(16_000)
    streamed = encoder.push(SAMPLES[:2]) + encoder.push(SAMPLES[2:]) + encoder.finish()
    assert streamed[40:44] == UNKNOWN_SIZE.to_bytes(4, "little")
    data = sized(streamed)
    assert data == wav_header(16_000, len(SAMPLES)) + SAMPLES
    assert parameters(data) == (1, 2, 16_000, SAMPLES)
    assert sized(data) == data


def test_a_file_without_samples_is_a_header() -> None:
    assert sized(WavEncoder(16_000).finish()) == wav_header(16_000, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"ID3 an mp3 file that is longer than a header of forty-four bytes",
        b"RIFF\x24\0\0\0WAVELIST" + bytes(40),
        wav_header(16_000, 0)[:36] + b"LIST" + bytes(8),
        wav_header(16_000, 0)[:40],
    ],
)
def test_other_data_stays_as_it_is(data: bytes) -> None:
    assert sized(data) == data
