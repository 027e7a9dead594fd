"""Known audio and video, made when needed: tones, silence, clips, sentences spoken by espeak-ng."""

import io
import math
import wave
from collections.abc import AsyncGenerator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from deployments.audio.espeak import EspeakSpeech
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import AudioChunk, Speak
from serve_app.core.config import Model
from serve_app.core.media import Blob, BlobStore
from serve_app.core.options.audio import EspeakOptions

Samples = np.ndarray[Any, np.dtype[np.float64]]
COUNTING = "one two three four five six seven"
FRAMES_PER_S = 10
WIDTH, HEIGHT = 64, 48


class Audio(NamedTuple):
    """Encoded audio as a decoder finds it; `samples` are one channel in -1 to 1."""

    codec: str
    sample_rate: int
    channels: int
    samples: Samples

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate

    def loudness(self, start_s: float, end_s: float) -> float:
        """Root mean square between two seconds."""
        part = self.samples[int(start_s * self.sample_rate) : int(end_s * self.sample_rate)]
        return float(np.sqrt(np.mean(part**2)))

    def pitch_hz(self) -> float:
        """The strongest frequency."""
        spectrum = np.abs(np.fft.rfft(self.samples * np.hanning(len(self.samples))))
        return float(np.argmax(spectrum)) * self.sample_rate / len(self.samples)


def tone(duration_s: float, *, hz: float = 440.0, sample_rate: int = 16_000) -> bytes:
    """Signed 16-bit little-endian mono at a third of full scale."""
    moments = np.arange(round(duration_s * sample_rate)) / sample_rate
    return bytes((11_000 * np.sin(2 * math.pi * hz * moments)).astype("<i2").tobytes())


def silence(duration_s: float, *, sample_rate: int = 16_000) -> bytes:
    return bytes(2 * round(duration_s * sample_rate))


def wav(pcm: bytes, *, sample_rate: int = 16_000) -> bytes:
    """A WAV file by the standard library, which shares no code with the server."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm)
    return target.getvalue()


def decoded(data: bytes) -> Audio:
    """The first channel of the first audio track, by PyAV."""
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono")
        parts = [
            piece.to_ndarray().reshape(-1)
            for frame in [*container.decode(stream), None]
            for piece in resampler.resample(frame)
        ]
        return Audio(
            stream.codec_context.name,
            stream.codec_context.sample_rate,
            stream.codec_context.channels,
            np.concatenate(parts).astype(np.float64),
        )


def clip(
    path: Path, duration_s: float, *, codec: str = "libx264", audio: bytes | None = None
) -> Path:
    """A video of 10 frames per second that grow lighter; `audio` is 16 kHz PCM, kept as AAC."""
    with av.open(str(path), "w") as video:
        image: Any = video.add_stream(codec, rate=FRAMES_PER_S)
        image.width, image.height, image.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        track: Any = video.add_stream("aac", rate=16_000, layout="mono") if audio else None
        for frame in _images(round(duration_s * FRAMES_PER_S)):
            video.mux(image.encode(frame))
        video.mux(image.encode(None))
        if audio:
            video.mux(track.encode(_heard(audio)))
            video.mux(track.encode(None))
    return path


def _images(count: int) -> Iterator[Any]:
    for number in range(count):
        shade = np.full((HEIGHT, WIDTH, 3), 255 * number // count, dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(shade, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        frame.time_base = Fraction(1, FRAMES_PER_S)
        yield frame


def _heard(pcm: bytes) -> Any:
    samples = np.frombuffer(pcm, dtype="<i2").reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = 16_000
    frame.time_base = Fraction(1, 16_000)
    frame.pts = 0
    return frame


async def stored(blobs: BlobStore, data: bytes, *, mime: str = "audio/wav") -> Blob:
    async def chunks() -> AsyncGenerator[bytes]:
        yield data

    return await blobs.write(chunks(), mime=mime)


async def content(blobs: BlobStore, blob: Blob) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(blob)])


def espeak(folder: Path, *, voice: str = "en-us") -> EspeakSpeech:
    return EspeakSpeech(
        EspeakOptions(voice=voice),
        Model(id="espeak-ng"),
        path=None,
        blobs=FsspecBlobStore(folder),
    )


def counting() -> bytes:
    """A WAV file of `COUNTING`, 22.05 kHz mono, of which every word is understood.

    One recording (espeak-ng 1.52, voice en-us+f5, speed 0.75), because espeak-ng says nothing twice
    alike: of other takes two words of seven were understood, or six.
    """
    with av.open(str(Path(__file__).with_name("counting.flac"))) as file:
        (stream,) = file.streams.audio
        pcm = b"".join(frame.to_ndarray().tobytes() for frame in file.decode(stream))
    return wav(pcm, sample_rate=stream.rate)


async def spoken(folder: Path, text: str, *, voice: str = "en-us", speed: float = 1.0) -> bytes:
    """A WAV file of a sentence, 22.05 kHz mono."""
    request = Speak(model="espeak-ng", text=text, voice=voice, speed=speed, format="wav")
    events = espeak(folder).speak(request)
    return b"".join([event.data async for event in events if isinstance(event, AudioChunk)])
