"""Signed 16-bit mono samples to a WAV file, as they come."""

from collections.abc import Iterator
from pathlib import Path

from deployments.audio.audio_encoding import wav_header
from deployments.audio.audio_samples import WAV_LIMIT
from serve_app.core.errors import PayloadTooLarge


def written_wav(path: Path, pcm: Iterator[bytes], *, sample_rate: int, param: str) -> Iterator[int]:
    """Writes the file and yields how many samples it holds after each block; the header is complete
    when the iterator is. PayloadTooLarge at WAV's 4 GiB.
    """
    size = 0
    with path.open("wb") as file:
        file.write(wav_header(sample_rate, 0))
        for block in pcm:
            size += file.write(block)
            if size > WAV_LIMIT:
                raise PayloadTooLarge("the audio is too long for a wav file", param=param)
            yield size // 2
        file.seek(0)
        file.write(wav_header(sample_rate, size))
