"""Audio of any number of channels, as one or two: nothing that is said in one of them is lost."""

import asyncio
import subprocess
from collections.abc import Callable
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest

from deployments.audio.audio_decoding import speech_blocks
from deployments.audio.audio_samples import opened_audio
from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription
from deployments.video.av_media import AvMedia
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.transcription import TranscriptSegment
from serve_app.core.config import Model
from serve_app.core.containers import opened_container
from serve_app.core.options.video import AvOptions
from serve_app.core.video.processing import BurnSubtitles, PlacedAudio, ReplaceAudio, SubtitledVideo
from tests.listening import listener, understood, words_of
from tests.material import clip, content, counting, decoded

RATE = 48_000
Signal = np.ndarray[Any, np.dtype[np.float64]]
KEPT = 0.2
"""Of the level of what is said in one channel: what the quietest way of mixing leaves."""


def tone(hz: float, seconds: float = 2.0) -> Signal:
    return np.asarray(0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE))


def noise(seed: int, seconds: float = 2.0) -> Signal:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))


def saved(path: Path, channels: list[Signal], *options: str, rate: int = RATE) -> Path:
    """Written by the ffmpeg of imageio-ffmpeg, as the name and the options say."""
    pcm = np.stack(channels, axis=1).astype("<f4").tobytes()
    order = ("-ch_layout", "ambisonic 1") if "2" in options else ("-ac", str(len(channels)))
    raw = ("-f", "f32le", "-ar", str(rate), *order, "-i", "pipe:0")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *raw, *options, str(path)]
    subprocess.run(command, input=pcm, check=True)
    return path


def heard(path: Path, rate: int = RATE) -> Signal:
    pcm = b"".join(speech_blocks(path, param="file", rate=rate))
    return np.asarray(np.frombuffer(pcm, dtype="<i2") / 32_768)


def stereo(path: Path) -> Signal:
    with opened_audio(path, param="audio") as audio:
        return np.asarray(np.concatenate(list(audio.blocks), axis=1), dtype=np.float64)


def level(signal: Signal, hz: float) -> float:
    """The amplitude of one tone in it."""
    return float(2 * abs(signal @ turning(len(signal), hz)) / len(signal))


@lru_cache(maxsize=2)
def turning(samples: int, hz: float) -> "np.ndarray[Any, np.dtype[np.complex128]]":
    """What is asked of one signal after the other."""
    return np.asarray(np.exp(-2j * np.pi * hz * np.arange(samples) / RATE))


@pytest.fixture(scope="module")
def words() -> Signal:
    """Digits counted aloud, at 16 kHz."""
    audio = decoded(counting())
    moments = np.arange(0, len(audio.samples), audio.sample_rate / 16_000)
    return np.interp(moments, np.arange(len(audio.samples)), audio.samples)


WAYS: dict[str, Callable[[Signal], list[Signal]]] = {
    "opposite phase": lambda words: [words, -words],
    "opposite phase and quieter": lambda words: [words, -0.7 * words],
    "opposed from the middle on": lambda words: [
        words,
        np.where(np.arange(len(words)) < len(words) // 2, words, -words),
    ],
    "one side only": lambda words: [0 * words, words],
    "one of sixteen": lambda words: [*[0 * words] * 11, words, *[0 * words] * 4],
    "four that cancel": lambda words: [words, -words, words, -words],
    "eight that cancel": lambda words: [words, -words] * 4,
    "three": lambda words: [0 * words, 0 * words, words],
}


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def engine(blobs: FsspecBlobStore) -> FasterWhisperTranscription:
    return listener(blobs)


async def heard_words(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, folder: Path, channels: list[Signal]
) -> list[str]:
    """The words that Whisper understands."""
    file = saved(folder / "words.wav", channels, rate=16_000)
    return words_of(await understood(engine, blobs, file.read_bytes()))


@pytest.fixture(scope="module")
def plain(
    tmp_path_factory: pytest.TempPathFactory,
    engine: FasterWhisperTranscription,
    blobs: FsspecBlobStore,
    words: Signal,
) -> list[str]:
    """What is understood in mono."""
    return asyncio.run(heard_words(engine, blobs, tmp_path_factory.mktemp("mono"), [words]))


@pytest.mark.parametrize("way", WAYS)
async def test_words_are_understood_as_in_mono(
    tmp_path: Path,
    engine: FasterWhisperTranscription,
    blobs: FsspecBlobStore,
    words: Signal,
    plain: list[str],
    way: str,
) -> None:
    assert len(plain) >= 5
    # A word or two may be at the edge of another one ("four" and "far"), by the level alone.
    heard = await heard_words(engine, blobs, tmp_path, WAYS[way](words))
    assert SequenceMatcher(None, plain, heard).ratio() >= 0.75, (plain, heard)


LAYOUTS = {
    **{f"{count} channels": (count, "wav", ()) for count in (3, 4, 5, 6, 7, 8, 11, 16, 24, 64)},
    "opus without an order": (8, "mka", ("-c:a", "libopus", "-mapping_family", "255")),
    "sixteen in opus": (16, "mka", ("-c:a", "libopus", "-mapping_family", "255")),
    "ambisonic": (4, "mka", ("-c:a", "libopus", "-mapping_family", "2")),
    "aac 5.1": (6, "m4a", ("-c:a", "aac")),
    "aac 7.1": (8, "m4a", ("-c:a", "aac")),
    "flac 7.1": (8, "flac", ()),
    "22.2": (24, "wv", ("-af", "aformat=channel_layouts=22.2")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_channel_of_every_layout_is_heard(tmp_path: Path, layout: str) -> None:
    count, extension, options = LAYOUTS[layout]
    # Low enough for the channel of the bass, which codecs cut off above 120 Hz.
    hertz = [50.0 + 2.5 * place for place in range(count)]
    channels = [tone(hz) for hz in hertz]
    if count > 16:
        channels = [each / 4 for each in channels]
    file = saved(tmp_path / f"audio.{extension}", channels, *options)
    mono, both = heard(file), stereo(file)
    floor = KEPT * level(channels[0], hertz[0]) / count
    assert len(both) == 2
    for hz in hertz:
        assert level(mono, hz) > floor, hz
        assert max(level(both[0], hz), level(both[1], hz)) > floor, hz
    assert np.abs(mono).max() <= 1


def test_ordinary_stereo_stays_the_plain_mean(tmp_path: Path) -> None:
    """Apart, alike, wide, and with an echo of opposite phase: nothing is turned over."""
    voice, wide = noise(1), noise(2)
    for left, right in (
        (voice, wide),
        (voice, voice),
        (voice, 0 * voice),
        (voice + 0.5 * wide, voice - 0.5 * wide),
        (voice, -0.25 * voice),
    ):
        file = saved(tmp_path / "music.wav", [left, right], "-c:a", "pcm_f32le")
        assert np.abs(heard(file) - (left + right) / 2).max() < 2 / 32_768
        assert np.abs(stereo(file) - [left, right]).max() < 1e-6


def test_a_channel_is_turned_over_without_a_click(tmp_path: Path) -> None:
    low = tone(100.0)
    half = np.where(np.arange(len(low)) < len(low) // 2, low, -low)
    mono = heard(saved(tmp_path / "turned.wav", [low, half], "-c:a", "pcm_f32le"))
    steepest = np.abs(np.diff(tone(100.0))).max()
    before = len(low) // 2
    assert np.abs(np.diff(mono))[: before - 1].max() < 1.1 * steepest
    assert np.abs(np.diff(mono))[before + 1 :].max() < 1.1 * steepest
    assert level(mono[-RATE // 2 :], 100.0) > 0.29


def test_the_front_keeps_its_sides(tmp_path: Path) -> None:
    names = [tone(hz) / 2 for hz in (300.0, 400.0, 500.0, 60.0, 700.0, 800.0)]
    left, right = stereo(saved(tmp_path / "video.flac", names))
    for hz in (300.0, 700.0):
        assert level(left, hz) > 20 * level(right, hz)
    for hz in (400.0, 800.0):
        assert level(right, hz) > 20 * level(left, hz)
    assert level(left, 500.0) == pytest.approx(level(right, 500.0), rel=0.01)


async def test_a_video_gets_the_audio_of_any_number_of_channels(tmp_path: Path) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    media = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    video = await blobs.write_file(clip(tmp_path / "video.mp4", 2.0))
    for count in (2, 11, 16):
        channels = [tone(300.0), *[-tone(300.0)] * (count - 1)]
        audio = await blobs.write_file(saved(tmp_path / "sound.wav", channels))
        request = ReplaceAudio(video=video, recordings=(PlacedAudio(audio=audio, start_s=0.0),))
        made = await content(blobs, (await media.replace_audio(request)).video)
        assert level(decoded(made).samples, 300.0) > (0 if count == 2 else 0.05)


@pytest.mark.parametrize(
    ("count", "codec", "written"),
    [
        (6, ("pcm_s16le",), 6),
        (16, ("pcm_s16le",), 2),
        (2, ("libopus", "-mapping_family", "255"), 2),
        (5, ("libopus", "-mapping_family", "255"), 2),
    ],
)
async def test_a_video_with_subtitles_keeps_what_is_said_in_any_channel(
    tmp_path: Path, count: int, codec: tuple[str, ...], written: int
) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    media = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    silent = clip(tmp_path / "silent.mp4", 2.0)
    channels = [*[0 * tone(300.0)] * (count - 1), tone(300.0)]
    options = ("-i", str(silent), "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-c:a", *codec)
    video = await blobs.write_file(saved(tmp_path / "video.mkv", channels, *options))
    cue = TranscriptSegment(id=0, start=0.0, end=1.0, text="word")
    events = media.burn_subtitles(BurnSubtitles(video=video, cues=(cue,)))
    made = [event async for event in events][-1]
    assert isinstance(made, SubtitledVideo)
    async with blobs.local_file(made.video) as path:
        with opened_container(path) as container:
            assert container.streams.audio[0].channels == written
        assert level(heard(path), 300.0) > KEPT * level(tone(300.0), 300.0) / count


@pytest.mark.parametrize(("count", "codec"), [(8, "aac"), (8, "alac"), (11, "libopus")])
def test_pauses_between_many_channels_are_silent(tmp_path: Path, count: int, codec: str) -> None:
    """Two seconds of audio with a second cut out of their middle."""
    channels = [tone(300.0, 3.0)] * count
    cut = ("-bsf:a", "noise=drop='between(pts*tb,1,2)'")
    mapping = ("-mapping_family", "255") if codec == "libopus" else ()
    file = saved(tmp_path / "sound.mkv", channels, "-c:a", codec, *mapping, *cut)
    mono = heard(file)
    assert len(mono) / RATE == pytest.approx(3.0, abs=0.1)
    assert level(mono[: RATE // 2], 300.0) > 0.15
    assert level(mono[-RATE // 2 :], 300.0) > 0.15
    assert np.abs(mono[round(1.2 * RATE) : round(1.8 * RATE)]).max() < 0.01
