"""Videos whose tracks begin, pause and end at other times, through everything that reads a
track.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest

from deployments.audio.audio_decoding import speech_blocks
from deployments.audio.audio_samples import opened_audio
from deployments.image.lanczos_upscaling import LanczosUpscaling
from deployments.video.av_media import AvMedia
from deployments.video.flow_interpolation import FlowInterpolation
from deployments.video.video_decoding import video_frames
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.image.upscaling import UpscaledVideo, UpscaleVideo
from serve_app.core.media import Blob
from serve_app.core.options.image import LanczosOptions
from serve_app.core.options.video import AvOptions, OpticalFlowOptions
from serve_app.core.time_line import length_s
from serve_app.core.video.interpolation import InterpolatedVideo, InterpolateVideo
from serve_app.core.video.processing import (
    BurnSubtitles,
    ExtractAudio,
    PlacedAudio,
    ReplaceAudio,
    SubtitledVideo,
)
from tests.material import content, decoded, stored, tone, wav
from tests.videos import ffmpeg

Span = tuple[float, float]
Samples = np.ndarray[Any, np.dtype[Any]]
Moved = Callable[[str, float], float | None]
FRAME_S = 0.04
NEAR_S = 0.1
SOURCE = ("-f", "lavfi", "-i")
CODECS = {".vob": ("-c:v", "mpeg2video", "-c:a", "ac3")}
H264 = ("-c:v", "libx264", "-bf", "2", "-g", "25")


class Times(NamedTuple):
    """When a tone is heard and when the image is white, in seconds from where a player begins,
    and how long the file is.
    """

    heard: list[float]
    white: list[float]
    lasts_s: float


def flash(lasts_s: float, at_s: float) -> tuple[str, ...]:
    """Black, and white for half a second."""
    white = f"drawbox=c=white:t=fill:enable='between(t,{at_s - 0.01},{at_s + 0.49})'"
    return (*SOURCE, f"color=black:s=64x48:r=25:d={lasts_s},{white}")


def burst(lasts_s: float, at_s: float) -> tuple[str, ...]:
    """Silence, and a tone for half a second."""
    level = f"volume='between(t,{at_s},{at_s + 0.5})':eval=frame"
    return (*SOURCE, f"sine=f=440:r=48000:d={lasts_s}:samples_per_frame=480,volume=8,{level}")


def clip(
    path: Path,
    image: tuple[str, ...],
    audio: tuple[str, ...],
    *,
    image_late_s: float = 0,
    audio_late_s: float = 0,
    options: tuple[Any, ...] = (),
) -> Path:
    codecs = ("-c:v", "libvpx", "-c:a", "libopus") if path.suffix == ".webm" else H264
    late = ("-itsoffset", image_late_s, *image, "-itsoffset", audio_late_s, *audio)
    ffmpeg(*late, *codecs, *options, path)
    return path


def late(path: Path) -> Times:
    clip(path, flash(6, 2), burst(3, 1), audio_late_s=4)
    return Times([5], [2], 7)


def late_image(path: Path) -> Times:
    clip(path, flash(6, 2), burst(3, 1), image_late_s=4)
    return Times([1], [6], 10)


def late_clock(path: Path) -> Times:
    """As parts of a broadcast are."""
    clip(path, flash(4, 2), burst(3, 1), options=("-output_ts_offset", 100))
    return Times([1], [2], 4)


def fragmented(path: Path) -> Times:
    options = ("-movflags", "frag_keyframe+empty_moov+default_base_moof")
    clip(path, flash(6, 2), burst(3, 1), audio_late_s=4, options=options)
    return Times([5], [2], 7)


def cut(path: Path) -> Times:
    """By an edit list, in the middle between two key frames."""
    whole = path.with_name("whole.mp4")
    clip(whole, flash(6, 2), burst(6, 3))
    ffmpeg("-ss", 1.6, "-i", whole, "-c", "copy", path)
    return Times([1.4], [0.4], 4.4)


def short_image(path: Path) -> Times:
    clip(path, flash(3, 1), burst(8, 6))
    return Times([6], [1], 8)


def short_audio(path: Path) -> Times:
    clip(path, flash(8, 6), burst(3, 1))
    return Times([1], [6], 8)


def muted(path: Path) -> Times:
    """No packets of audio for three seconds."""
    moved(clip(path.with_name(f"whole{path.suffix}"), flash(8, 4), burst(8, 6)), path, _muted)
    return Times([6], [4], 8)


def _muted(kind: str, at_s: float) -> float | None:
    return None if kind == "audio" and 2 <= at_s < 5 else at_s


def paused(path: Path) -> Times:
    """No packets for five seconds."""
    moved(clip(path.with_name(f"whole{path.suffix}"), flash(8, 4), burst(8, 6)), path, _paused)
    return Times([11], [9], 13)


def _paused(kind: str, at_s: float) -> float | None:
    return at_s if at_s < 3 else at_s + 5


def moved(source: Path, target: Path, place: Moved) -> None:
    """Every packet at another second, or nowhere."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        tracks = {s.index: written.add_stream_from_template(s) for s in read.streams}  # type: ignore[call-overload]
        for packet in read.demux():
            if packet.pts is None:
                continue
            at_s = float(packet.pts * packet.time_base)
            to_s = place(packet.stream.type, at_s)
            if to_s is None:
                continue
            ticks = round((to_s - at_s) / packet.time_base)
            packet.pts += ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
            packet.stream = tracks[packet.stream_index]
            written.mux(packet)


def joined(*offsets_s: float) -> Callable[[Path], Times]:
    """Recordings joined as by `cat`, each of 4 s of image and 3.5 s of audio."""

    def made(path: Path) -> Times:
        with path.open("wb") as file:
            for number, offset_s in enumerate(offsets_s):
                part = path.with_name(f"{number}{path.suffix}")
                options = (*CODECS.get(path.suffix, ()), "-output_ts_offset", offset_s)
                clip(part, flash(4, 1), burst(3.5, 2), options=options)
                file.write(part.read_bytes())
        starts_s = [4.0 * number for number in range(len(offsets_s))]
        heard, white = ([at_s + begin for begin in starts_s] for at_s in (2, 1))
        return Times(heard, white, 4.0 * len(offsets_s))

    return made


CASES: dict[str, tuple[str, Callable[[Path], Times]]] = {
    **{f"late {kind}": (f"video.{kind}", late) for kind in ("mp4", "mov", "mkv", "webm", "ts")},
    **{f"late image {kind}": (f"video.{kind}", late_image) for kind in ("mp4", "mkv")},
    **{f"late clock {kind}": (f"video.{kind}", late_clock) for kind in ("mp4", "mkv", "ts")},
    "fragmented": ("video.mp4", fragmented),
    "cut": ("video.mp4", cut),
    **{f"short image {kind}": (f"video.{kind}", short_image) for kind in ("webm", "mkv", "mp4")},
    **{f"short audio {kind}": (f"video.{kind}", short_audio) for kind in ("mkv", "mp4")},
    **{f"muted {kind}": (f"video.{kind}", muted) for kind in ("mkv", "mp4", "ts")},
    **{f"paused {kind}": (f"video.{kind}", paused) for kind in ("mkv", "mp4", "ts")},
    **{f"joined {kind}": (f"video.{kind}", joined(0, 0)) for kind in ("ts", "vob", "mkv", "webm")},
    "joined forward": ("video.ts", joined(0, 500)),
    "joined back": ("video.ts", joined(500, 0, 20)),
    "joined within": ("video.ts", joined(0, 2)),
    "joined in order": ("video.ts", joined(0, 4)),
}


class Case(NamedTuple):
    path: Path
    times: Times


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    name, make = CASES[request.param]
    path = tmp_path_factory.mktemp("video") / name
    return Case(path, make(path))


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def media(blobs: FsspecBlobStore) -> AvMedia:
    return AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)


@pytest.fixture
async def video(blobs: FsspecBlobStore, case: Case) -> Blob:
    return await blobs.write_file(case.path, mime="video/mp4")


def loud(samples: Samples, rate: int) -> list[float]:
    """The seconds at which something begins to be heard; `samples` are 1 at full scale."""
    hop = rate // 100
    levels = np.abs(samples[: len(samples) // hop * hop]).reshape(-1, hop).max(axis=1)
    return begins(levels > 0.05, 0.01)


def begins(is_on: Samples, step_s: float) -> list[float]:
    return [float(at) for at in np.flatnonzero(np.diff(np.r_[0, is_on.astype(int)]) > 0) * step_s]


def played(data: bytes, folder: Path) -> Times:
    """As the program of ffmpeg plays it, which has a clock of its own."""
    path = folder / "played.mp4"
    path.write_bytes(data)
    heard, seen = folder / "heard", folder / "seen"
    audio = ("-af", "aresample=16000:async=1:first_pts=0", "-ac", 1, "-f", "s16le", heard)
    image = ("-vf", "fps=25:start_time=0,scale=1:1", "-pix_fmt", "gray", "-f", "rawvideo", seen)
    ffmpeg("-i", path, *audio, *image)
    samples = np.frombuffer(heard.read_bytes(), "<i2") / 32768
    light = np.frombuffer(seen.read_bytes(), np.uint8)
    with av.open(str(path)) as container:
        lasts_s = (container.duration or 0) / av.time_base
    return Times(loud(samples, 16_000), begins(light > 128, FRAME_S), lasts_s)


def near(seconds: list[float]) -> Any:
    return pytest.approx(seconds, abs=NEAR_S)


def test_audio_is_heard_when_a_player_plays_it(case: Case) -> None:
    pcm = b"".join(speech_blocks(case.path, param="file"))
    samples = np.frombuffer(pcm, "<i2") / 32768
    assert loud(samples, 16_000) == near(case.times.heard)
    assert len(samples) / 16_000 == pytest.approx(case.times.lasts_s, abs=NEAR_S)
    with opened_audio(case.path, param="audio") as audio:
        whole = np.concatenate(list(audio.blocks), axis=1)[0]
    assert loud(whole, audio.sample_rate) == near(case.times.heard)


def test_frames_are_seen_when_a_player_shows_them(case: Case) -> None:
    frames = list(video_frames(case.path, param="video"))
    is_white = np.array([frame.pixels.mean() > 128 for frame in frames])
    changes = np.flatnonzero(np.diff(np.r_[0, is_white.astype(int)]) > 0)
    assert [frames[number].at_s for number in changes] == near(case.times.white)


async def test_a_new_audio_is_heard_at_its_second_of_the_video(
    media: AvMedia, blobs: FsspecBlobStore, video: Blob, case: Case, tmp_path: Path
) -> None:
    lines = await stored(blobs, wav(tone(0.5)))
    recordings = tuple(PlacedAudio(audio=lines, start_s=at_s) for at_s in case.times.heard)
    made = await media.replace_audio(ReplaceAudio(video=video, recordings=recordings))
    found = played(await content(blobs, made.video), tmp_path)
    assert found.heard == near(case.times.heard)
    assert found.white == near(case.times.white)
    assert found.lasts_s == pytest.approx(case.times.lasts_s, abs=NEAR_S)


async def test_the_audio_taken_out_is_the_same_as_the_one_in_the_video(
    media: AvMedia, blobs: FsspecBlobStore, video: Blob, case: Case
) -> None:
    made = await media.extract_audio(ExtractAudio(video=video))
    audio = decoded(await content(blobs, made.audio))
    assert loud(audio.samples, audio.sample_rate) == near(case.times.heard)


async def test_subtitles_leave_image_and_audio_where_they_are(
    media: AvMedia, blobs: FsspecBlobStore, video: Blob, case: Case, tmp_path: Path
) -> None:
    made: Any = [e async for e in media.burn_subtitles(BurnSubtitles(video=video, cues=()))][-1]
    assert isinstance(made, SubtitledVideo)
    found = played(await content(blobs, made.video), tmp_path)
    assert (found.heard, found.white) == (near(case.times.heard), near(case.times.white))


async def test_a_larger_video_keeps_its_times(
    blobs: FsspecBlobStore, video: Blob, case: Case, tmp_path: Path
) -> None:
    engine = LanczosUpscaling(LanczosOptions(), Model(id="lanczos"), path=None, blobs=blobs)
    asked = UpscaleVideo(model="lanczos", video=video, factor=2, allows_resize=True)
    made: Any = [event async for event in engine.upscale_video(asked)][-1]
    assert isinstance(made, UpscaledVideo)
    found = played(await content(blobs, made.video), tmp_path)
    assert (found.heard, found.white) == (near(case.times.heard), near(case.times.white))


async def test_a_smoother_video_keeps_its_times(
    blobs: FsspecBlobStore, video: Blob, case: Case, tmp_path: Path
) -> None:
    options = OpticalFlowOptions()
    engine = FlowInterpolation(options, Model(id="flow"), path=None, blobs=blobs)
    asked = InterpolateVideo(model="flow", video=video, fps_multiplier=2)
    made: Any = [event async for event in engine.interpolate(asked)][-1]
    assert isinstance(made, InterpolatedVideo)
    found = played(await content(blobs, made.video), tmp_path)
    assert (found.heard, found.white) == (near(case.times.heard), near(case.times.white))


def test_a_file_of_nothing_but_jumps_is_as_long_as_what_it_holds(tmp_path: Path) -> None:
    parts = []
    for number, offset_s in enumerate((0, 5000)):
        part = tmp_path / f"{number}.ts"
        clip(part, flash(1, 0.5), burst(1, 0.5), options=("-output_ts_offset", offset_s))
        parts.append(part.read_bytes())
    path = tmp_path / "jumps.ts"
    path.write_bytes(b"".join(parts) * 50)
    samples = np.frombuffer(b"".join(speech_blocks(path, param="file")), "<i2") / 32768
    assert len(samples) / 16_000 == pytest.approx(100, rel=0.05)
    assert len(loud(samples, 16_000)) == 100
    assert length_s(path) == pytest.approx(100, rel=0.05)
