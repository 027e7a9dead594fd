"""Any container to floating point samples of its own rate, and samples to a WAV file."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from deployments.audio.audio_decoding import audio_track, decoded_frames, undecodable
from deployments.audio.down_mixing import LOUDEST, Target, mixed_frames
from serve_app.core.containers import opened_container
from serve_app.core.errors import PayloadTooLarge
from serve_app.core.tracks import AudioTrack

Samples = np.ndarray[Any, np.dtype[np.float32]]
"""Shaped (channels, samples), full scale is -1 to 1."""
WAV_LIMIT = 2**32 - 64


@dataclass(frozen=True)
class Audio:
    """A decoder at work. `duration_s` is what the container says, which may be wrong or missing.
    More than two channels are mixed down to two.
    """

    sample_rate: int
    channels: int
    duration_s: float | None
    blocks: Iterator[Samples]


@contextmanager
def opened_audio(path: Path, *, param: str, track: AudioTrack | None = None) -> Iterator[Audio]:
    """The audio of a file, placed as in `speech_blocks`, decoded while `blocks` is iterated.

    InvalidRequest with `param` when there is no audio that can be decoded.
    """
    import av

    try:
        with opened_container(path) as container:
            stream = audio_track(container, param, track)
            rate, channels = stream.rate, min(stream.channels, 2)
            if not rate or not channels:
                raise undecodable(param)
            decoded = decoded_frames(container, stream, param)
            target: Target = "mono" if channels == 1 else "stereo"
            frames = mixed_frames(decoded, target, format="fltp", rate=rate)
            seconds = container.duration / av.time_base if container.duration else None
            yield Audio(rate, channels, seconds, map(_samples, frames))
    except av.FFmpegError as error:
        raise undecodable(param) from error


def _samples(frame: Any) -> Samples:
    # Broken float files hold NaN and huge numbers, which would spread over everything.
    samples: Samples = np.nan_to_num(frame.to_ndarray().astype(np.float32, copy=False))
    return samples.clip(-LOUDEST, LOUDEST)


class WavFile:
    """Signed 16-bit samples written as they come; `finish` writes the sizes into the header."""

    def __init__(self, file: BinaryIO, *, sample_rate: int, channels: int) -> None:
        self._file = file
        self._format = (sample_rate, channels)
        self.samples = 0
        file.write(self._header())

    def write(self, samples: Samples) -> None:
        """Append; what is over full scale is clipped. PayloadTooLarge at WAV's 4 GiB."""
        self.samples += samples.shape[1]
        if self._data_bytes > WAV_LIMIT:
            raise PayloadTooLarge("the audio is too long for a wav file", param="audio")
        scaled = np.clip(np.rint(samples * 32768), -32768, 32767)
        self._file.write(scaled.T.astype("<i2").tobytes())

    def cut_to(self, count: int) -> None:
        """Make it `count` samples long: cut, or filled up with silence."""
        missing = count - self.samples
        if missing > 0:
            self.write(np.zeros((self._format[1], missing), dtype=np.float32))
        elif missing < 0:
            self.samples = count
            self._file.flush()
            self._file.truncate(len(self._header()) + self._data_bytes)

    def finish(self) -> None:
        """Complete the header."""
        self._file.seek(0)
        self._file.write(self._header())

    @property
    def _data_bytes(self) -> int:
        return self.samples * self._format[1] * 2

    def _header(self) -> bytes:
        rate, channels = self._format
        size = self._data_bytes
        fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
        riff = b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + struct.pack("<I", 16)
        return riff + fmt + b"data" + struct.pack("<I", size)
