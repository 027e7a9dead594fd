"""A talking video, heard, translated, dubbed and subtitled by the engines that need no download."""

import io
import json
import wave
from collections.abc import AsyncGenerator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest

from deployments.audio.hpss_stems import HpssStems
from deployments.fakes.engine import FakeChat
from deployments.video.av_media import AvMedia
from pipelines.video_dub import VideoDub
from pipelines.video_subtitles import VideoSubtitles
from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.chat_translator import ChatTranslator
from serve_app.catalog.engine_runner import EngineRunner
from serve_app.core.config import Model
from serve_app.core.media import Blob
from serve_app.core.options.audio import HpssOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.video import AvOptions
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent, Usage
from serve_app.core.video.dubbing import DubbedVideo, DubVideo
from serve_app.core.video.subtitling import Subtitles, SubtitleVideo
from tests.listening import listener, words_of
from tests.material import COUNTING, content, counting, espeak
from tests.running import stages_over

RATE = 48_000
TONE_HZ = 6_000.0
"""Of the background: far above the voice, and out of the band that recognition hears badly in."""
FPS = 10
LEAD_S, TAIL_S = 1.0, 1.5
GERMAN = "eins zwei drei vier f\u00fcnf sechs sieben"
Floats = np.ndarray[Any, np.dtype[np.float64]]


class Interpreter(FakeChat):
    """Knows one sentence."""

    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        yield ChatDelta(text=json.dumps({"translation": GERMAN}))
        yield Usage(prompt_tokens=1, completion_tokens=1)


def translator(blobs: FsspecBlobStore) -> ChatTranslator:
    options = FakeOptions(task="chat")
    return ChatTranslator(EngineRunner(Interpreter(options, Model(id="translator"), blobs=blobs)))


class AssembledVideo(NamedTuple):
    """A video and when its words are heard."""

    blob: Blob
    begin_s: float
    end_s: float
    duration_s: float


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def video(blobs: FsspecBlobStore, tmp_path: Path) -> AssembledVideo:
    """A bar that grows, seven spoken words after a second, and a quiet high tone in stereo."""
    with wave.open(io.BytesIO(counting())) as file:
        voice = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768
        voice_rate = file.getframerate()
    spoken_s = len(voice) / voice_rate
    duration_s = round((LEAD_S + spoken_s + TAIL_S) * FPS) / FPS
    at = np.arange(round(duration_s * RATE)) / RATE
    words = np.interp(at - LEAD_S, np.arange(len(voice)) / voice_rate, voice, left=0, right=0)
    tone = 0.05 * np.sin(2 * np.pi * TONE_HZ * at)
    path = tmp_path / "talk.mp4"
    # The voice is in the middle, the tone at the sides, as videos are mixed.
    _write(path, np.stack([0.7 * words + tone, 0.7 * words - tone]), round(duration_s * FPS))
    blob = await blobs.write_file(path, mime="video/mp4")
    return AssembledVideo(blob, LEAD_S, LEAD_S + spoken_s, duration_s)


def _write(path: Path, audio: Floats, count: int) -> None:
    with av.open(str(path), "w") as container:
        image: Any = container.add_stream("libx264", rate=FPS)
        image.width, image.height, image.pix_fmt = 160, 120, "yuv420p"
        track: Any = container.add_stream("aac", rate=RATE, layout="stereo")
        for number in range(count):
            pixels = np.full((120, 160, 3), 40, dtype=np.uint8)
            pixels[50:70, : 160 * number // count] = (200, 60, 60)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(image.encode(frame))
        container.mux(image.encode(None))
        heard = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(audio.astype(np.float32)), format="fltp", layout="stereo"
        )
        heard.sample_rate, heard.pts, heard.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(track.encode(heard))
        container.mux(track.encode(None))


def media(blobs: FsspecBlobStore) -> AvMedia:
    return AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)


def heard(data: bytes) -> tuple[Floats, float]:
    """The left channel, and how long the image lasts."""
    with av.open(io.BytesIO(data)) as container:
        stream: Any = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        lasts = float(stream.duration * stream.time_base)
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        parts = [
            block.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for block in resampler.resample(frame)
        ]
    return np.concatenate(parts).astype(np.float64), lasts


def loudness(audio: Floats, begin_s: float, end_s: float, *, low: float, high: float) -> float:
    """Of a band of frequencies, per second."""
    part = audio[round(begin_s * RATE) : round(end_s * RATE)]
    power = np.abs(np.fft.rfft(part)) ** 2 / len(part) ** 2
    hertz = np.fft.rfftfreq(len(part), 1 / RATE)
    return float(power[(hertz >= low) & (hertz < high)].sum())


def onset_s(audio: Floats) -> float:
    """When a voice is first heard."""
    window = RATE // 50
    for at in range(0, len(audio) - window, window):
        if loudness(audio, at / RATE, (at + window) / RATE, low=100, high=3000) > 1e-4:
            return at / RATE
    raise AssertionError("nobody is heard")


async def test_a_dubbed_video_keeps_its_times_and_its_background(
    blobs: FsspecBlobStore, video: AssembledVideo, tmp_path: Path
) -> None:
    # Around what is speech, voice activity detection adds almost half a second.
    ears = listener(blobs, vad=False)
    parts = {
        "transcription": ears,
        "translation": translator(blobs),
        "speech": espeak(tmp_path),
        "stems": HpssStems(HpssOptions(), Model(id="hpss"), path=None, blobs=blobs),
        "media": media(blobs),
    }
    pipeline = VideoDub(stages_over(parts), blobs)
    request = DubVideo(
        video=video.blob,
        target_language="de",
        source_language="en",
        transcription_model="ear",
        translation_model="translator",
        speech_model="espeak-ng",
        stems_model="hpss",
        burns_subtitles=True,
    )
    *_, dubbed = [event async for event in pipeline.run(request)]
    await ears.close()
    assert isinstance(dubbed, DubbedVideo)
    said = {segment.source_text for segment in dubbed.segments}
    assert len(set(COUNTING.split()) & set(words_of(" ".join(said)))) == 7
    assert {segment.text for segment in dubbed.segments} == {GERMAN}
    original, lasts_s = heard(await content(blobs, video.blob))
    audio, dubbed_s = heard(await content(blobs, dubbed.video))
    assert dubbed_s == pytest.approx(lasts_s, abs=1 / FPS)
    # The new voice begins when the old one did.
    assert abs(onset_s(audio) - onset_s(original)) < 0.3
    # The tone is still there, before and under the voice.
    for begin, end in ((0.1, 0.8), (2.0, 3.0)):
        band = {"low": TONE_HZ - 50, "high": TONE_HZ + 50}
        was = loudness(original, begin, end, **band)
        assert loudness(audio, begin, end, **band) > 0.3 * was


async def test_subtitles_say_what_is_spoken_when_it_is(
    blobs: FsspecBlobStore, video: AssembledVideo
) -> None:
    ears = listener(blobs)
    parts = {"transcription": ears, "translation": translator(blobs), "media": media(blobs)}
    pipeline = VideoSubtitles(stages_over(parts), blobs)
    request = SubtitleVideo(
        video=video.blob, transcription_model="ear", language="en", burns=True, style="karaoke"
    )
    *_, subtitles = [event async for event in pipeline.run(request)]
    await ears.close()
    assert isinstance(subtitles, Subtitles)
    words = words_of(" ".join(cue.text for cue in subtitles.cues))
    assert len(set(COUNTING.split()) & set(words)) == 7
    assert subtitles.cues[0].start == pytest.approx(video.begin_s, abs=0.5)
    assert subtitles.cues[-1].end == pytest.approx(video.end_s, abs=0.7)
    assert subtitles.video is not None
    _, lasts_s = heard(await content(blobs, subtitles.video))
    assert lasts_s == pytest.approx(video.duration_s, abs=1 / FPS)
