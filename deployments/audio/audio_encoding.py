"""Audio to bytes while it is produced: PCM in, mp3, wav, opus, flac, aac or raw PCM out."""

import struct
from fractions import Fraction
from typing import Any, Literal, Protocol

from typing_extensions import override

from serve_app.core.audio.speech import AudioFormat

PCM_RATE = 24_000
UNKNOWN_SIZE = 0xFFFFFFFF
# Container and codec of PyAV, and the sample rate that the codec wants (None: the source's).
CODECS: dict[AudioFormat, tuple[str, str, int | None]] = {
    "mp3": ("mp3", "libmp3lame", None),
    "opus": ("ogg", "libopus", 48_000),
    "flac": ("flac", "flac", None),
    "aac": ("adts", "aac", None),
}


class AudioEncoder(Protocol):
    """Takes signed 16-bit little-endian mono samples, gives the bytes that became ready."""

    def push(self, pcm: bytes) -> bytes:
        """Encode more samples."""
        ...

    def finish(self) -> bytes:
        """The last bytes. Nothing may be pushed afterwards."""
        ...


def encode(audio_format: AudioFormat, sample_rate: int) -> AudioEncoder:
    """An encoder for samples of `sample_rate` Hz. `pcm` is resampled to 24 kHz."""
    match audio_format:
        case "wav":
            return WavEncoder(sample_rate)
        case "pcm":
            return PcmEncoder(sample_rate)
        case _:
            return ContainerEncoder(audio_format, sample_rate)


class WavEncoder(AudioEncoder):
    """A header of unknown length, which players take as "until the end", then the samples."""

    def __init__(self, sample_rate: int) -> None:
        self._header = wav_header(sample_rate, UNKNOWN_SIZE)

    @override
    def push(self, pcm: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + pcm

    @override
    def finish(self) -> bytes:
        return self.push(b"")


class PcmEncoder(AudioEncoder):
    """Raw samples at 24 kHz."""

    def __init__(self, sample_rate: int) -> None:
        self._resampler = resampler("s16", PCM_RATE)
        self._frames = AudioFrames(sample_rate)

    @override
    def push(self, pcm: bytes) -> bytes:
        if not pcm:
            return b""
        return _samples(self._resampler.resample(self._frames.frame(pcm)))

    @override
    def finish(self) -> bytes:
        return _samples(self._resampler.resample(None))


class ContainerEncoder(AudioEncoder):
    """A codec and its container, muxed into memory that is emptied after every push."""

    def __init__(self, audio_format: AudioFormat, sample_rate: int) -> None:
        import av

        container, codec, rate = CODECS[audio_format]
        self._sink = UnseekableFile()
        # A page per packet: Ogg would hold back a second of audio otherwise.
        options = {"flush_packets": "1"} | (
            {"page_duration": "20000"} if container == "ogg" else {}
        )
        self._output: Any = av.open(self._sink, "w", format=container, options=options)
        stream: Any = self._output.add_stream(codec, rate=rate or sample_rate)
        stream.layout = "mono"
        self._stream = stream
        self._frames = AudioFrames(sample_rate)

    @override
    def push(self, pcm: bytes) -> bytes:
        if pcm:
            self._output.mux(self._stream.encode(self._frames.frame(pcm)))
        return self._sink.take()

    @override
    def finish(self) -> bytes:
        self._output.mux(self._stream.encode(None))
        self._output.close()
        return self._sink.take()


class AudioFrames:
    """Makes audio frames of samples, numbered so that timestamps go on."""

    def __init__(self, sample_rate: int, *, channels: Literal[1, 2] = 1) -> None:
        self._sample_rate = sample_rate
        self._channels = channels
        self._position = 0

    def frame(self, pcm: bytes) -> Any:
        """One frame of signed 16-bit samples, interleaved where there are two channels."""
        import av
        import numpy as np

        samples = np.frombuffer(pcm, dtype="<i2").reshape(1, -1)
        layout = "stereo" if self._channels == 2 else "mono"
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate = self._sample_rate
        frame.time_base = Fraction(1, self._sample_rate)
        frame.pts = self._position
        self._position += samples.shape[1] // self._channels
        return frame


class UnseekableFile:
    """A file that cannot be sought in and whose content is taken away."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Called by PyAV."""
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def resampler(sample_format: str, rate: int) -> Any:
    """PyAV's resampler to mono."""
    import av

    return av.AudioResampler(format=sample_format, layout="mono", rate=rate)


def wav_header(sample_rate: int, data_bytes: int) -> bytes:
    """The 44 bytes before signed 16-bit mono samples (the canonical RIFF form)."""
    riff = min(UNKNOWN_SIZE, data_bytes + 36)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        riff,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        sample_rate,
        sample_rate * 2,
        2,
        16,
        b"data",
        data_bytes,
    )


def _samples(frames: list[Any]) -> bytes:
    return b"".join(bytes(frame.to_ndarray().astype("<i2").tobytes()) for frame in frames)
