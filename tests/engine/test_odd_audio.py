"""Recordings that recordings come as, and files that lie, through every engine that listens."""

import io
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest

from deployments.audio.audio_decoding import speech_blocks
from deployments.audio.audio_samples import WavFile, opened_audio
from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription
from deployments.audio.ge2e_diarization import Ge2eDiarization
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.diarization import Diarization, Diarize
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import Blob
from serve_app.core.options.audio import FasterWhisperOptions, Ge2eOptions
from tests.engine.tiny_whisper import ORIGINAL, save_whisper
from tests.listening import listener
from tests.material import clip, counting, decoded, stored
from tests.weights import weights

RECITED = " ".join(word for _, words in ORIGINAL for word in words)
Listen = Callable[[Blob], Any]


class Spoken(NamedTuple):
    """Digits counted aloud, at 16 kHz."""

    samples: np.ndarray[Any, np.dtype[np.float64]]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / 16_000

    def at(self, rate: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        moments = np.arange(0, len(self.samples), 16_000 / rate)
        return np.asarray(np.interp(moments, np.arange(len(self.samples)), self.samples))


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    audio = decoded(counting())
    moments = np.arange(0, len(audio.samples), audio.sample_rate / 16_000)
    return Spoken(np.interp(moments, np.arange(len(audio.samples)), audio.samples))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def file_of(samples: np.ndarray[Any, np.dtype[np.float64]], rate: int, channels: int) -> bytes:
    """WAV; only the first channel has the audio."""
    frames = np.zeros((len(samples), channels), dtype="<i2")
    frames[:, 0] = (samples * 32_767).astype("<i2")
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(frames.tobytes())
    return target.getvalue()


def odd_files(spoken: Spoken, folder: Path) -> dict[str, bytes]:
    plain = file_of(spoken.samples, 16_000, 1)
    liar = bytearray(plain)
    liar[4:8] = liar[40:44] = b"\xff\xff\xff\xff"
    pcm = (spoken.samples * 32_767).astype("<i2").tobytes()
    return {
        "telephone": file_of(spoken.at(8_000), 8_000, 1),
        "surround": file_of(3 * spoken.at(96_000).clip(-0.33, 0.33), 96_000, 8),
        "four gigabytes": bytes(liar),
        "cut off": plain[: len(plain) - 7],
        "video": clip(folder / "video.mp4", 1.0, audio=pcm).read_bytes(),
    }


def mp3(samples: np.ndarray[Any, np.dtype[np.float64]], rate: int, layout: str) -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="mp3") as output:
        stream: Any = output.add_stream("libmp3lame", rate=rate)
        stream.layout = layout
        pcm = np.repeat((samples * 32_767).astype("<i2"), stream.layout.nb_channels)
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target.getvalue()


def test_recordings_that_were_joined_are_heard_to_the_end(spoken: Spoken, tmp_path: Path) -> None:
    """At another rate and with other channels from the middle on."""
    file = tmp_path / "joined.mp3"
    telephone, music = (22_050, "mono"), (44_100, "stereo")
    for kinds in (telephone, music), (music, telephone):
        parts = [mp3(spoken.at(rate), rate, layout) for rate, layout in kinds]
        file.write_bytes(b"".join(parts))
        heard = sum(map(len, speech_blocks(file, param="file"))) / 2 / 16_000
        assert heard == pytest.approx(2 * spoken.duration_s, abs=0.3)
        with opened_audio(file, param="audio") as audio:
            blocks = list(audio.blocks)
        assert {len(block) for block in blocks} == {audio.channels}
        seconds = sum(block.shape[1] for block in blocks) / audio.sample_rate
        assert seconds == pytest.approx(2 * spoken.duration_s, abs=0.3)


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (999, 1), (2**30, 2), (2**31 - 1, 1)])
def test_rates_that_nobody_hears_are_refused(tmp_path: Path, rate: int, channels: int) -> None:
    file = tmp_path / "odd.wav"
    data = bytearray(file_of(np.zeros(5000), 16_000, channels))
    data[24:32] = struct.pack("<II", rate, rate * channels * 2 % 2**32)
    file.write_bytes(data)
    with pytest.raises(InvalidRequest) as refused:
        list(speech_blocks(file, param="file"))
    assert refused.value.param == "file"
    with pytest.raises(InvalidRequest) as refused, opened_audio(file, param="audio") as audio:
        WavFile(io.BytesIO(), sample_rate=audio.sample_rate, channels=audio.channels)
    assert refused.value.param == "audio"


async def test_nobody_speaks_in_a_single_sample(blobs: FsspecBlobStore) -> None:
    engine = Ge2eDiarization(Ge2eOptions(), Model(id="m"), path=weights("ge2e"), blobs=blobs)
    audio = await stored(blobs, file_of(np.zeros(1), 48_000, 1))
    result = await last(engine.diarize(Diarize(model="m", audio=audio)))
    assert isinstance(result, Diarization)
    assert result.turns == ()


async def last(events: Any) -> Any:
    return [event async for event in events][-1]


@pytest.fixture(params=["faster_whisper", "batched", "trained"])
def transcribe(request: pytest.FixtureRequest, checkpoint: Path, blobs: FsspecBlobStore) -> Listen:
    engine: Any
    if request.param == "trained":
        engine = listener(blobs)
    else:
        size = 4 if request.param == "batched" else 1
        options = FasterWhisperOptions(device="cpu", threads=1, batch_size=size)
        engine = FasterWhisperTranscription(options, Model(id="m"), path=checkpoint, blobs=blobs)
    return lambda audio: last(engine.transcribe(Transcribe(model="m", audio=audio)))


async def test_every_engine_hears_speech_in_odd_files(
    transcribe: Listen, blobs: FsspecBlobStore, spoken: Spoken, tmp_path: Path
) -> None:
    for name, data in odd_files(spoken, tmp_path).items():
        result = await transcribe(await stored(blobs, data))
        assert isinstance(result, Transcript)
        assert result.duration_s == pytest.approx(spoken.duration_s, abs=0.1), name
        assert result.text == RECITED or len(result.text.split()) >= 3, name


async def test_speakers_are_looked_for_in_odd_files(
    blobs: FsspecBlobStore, spoken: Spoken, tmp_path: Path
) -> None:
    engine = Ge2eDiarization(Ge2eOptions(), Model(id="m"), path=weights("ge2e"), blobs=blobs)
    for name, data in odd_files(spoken, tmp_path).items():
        request = Diarize(model="m", audio=await stored(blobs, data), num_speakers=1)
        result = await last(engine.diarize(request))
        assert isinstance(result, Diarization)
        assert {turn.speaker for turn in result.turns} == {"A"}, name
        assert 0 <= result.turns[0].start < result.turns[-1].end <= spoken.duration_s + 0.2, name
