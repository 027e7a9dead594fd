"""Frames put between frames: nearer to the truth than blending, times, audio, cuts, and what is
refused.
"""

from contextlib import aclosing
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deployments.fakes.interpolation import FakeInterpolation
from deployments.video.flow_interpolation import FlowInterpolation
from deployments.video.flow_planes import FlowFinder, PlanesBetween, dissolved
from deployments.video.frame_interpolation import FrameSource, GivenFrame, between, planes_of
from deployments.video.motion import Planes
from deployments.video.video_encoding import VideoWriter, studio_frame
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.image.images import Size
from serve_app.core.message import Progress
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.video import OpticalFlowOptions
from serve_app.core.video.interpolation import InterpolatedVideo, InterpolateVideo
from tests.engine.tiny_vision import last, stored
from tests.images import huge_png, png
from tests.material import clip, tone
from tests.notices import texts_of
from tests.videos import (
    Pixels,
    audio_packets,
    check_playable,
    decoded,
    ffmpeg,
    landscape,
    write_video,
)

MODEL = Model(id="flow")
WIDTH, HEIGHT = 320, 240


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def flow(blobs: FsspecBlobStore) -> FlowInterpolation:
    return FlowInterpolation(OpticalFlowOptions(), MODEL, path=None, blobs=blobs)


def scene(moment: float) -> Pixels:
    """A card and a disc that cross a background, which moves the other way: per unit of `moment`
    the card goes 12 pixels to the right, the disc 6 right and down, the background 3 to the left.
    """
    size = (WIDTH, HEIGHT)

    def shifted(image: Pixels, x: float, y: float) -> Pixels:
        matrix = np.array([[1, 0, x], [0, 1, y]], dtype=np.float32)
        return np.asarray(cv2.warpAffine(image, matrix, size), dtype=np.uint8)

    frame = shifted(landscape(WIDTH + 80, HEIGHT, seed=1), -3 * moment - 20, 0)
    card, disc = np.zeros_like(frame), np.zeros_like(frame)
    card[90:150, 40:120] = landscape(80, 60, seed=5)
    cv2.circle(disc, (60, 40), 24, (250, 40, 40), -1)
    for shape, x, y in ((card, 12 * moment, 0), (disc, 6 * moment, 6 * moment)):
        mask = shifted(((shape.max(axis=2) > 0) * 255).astype(np.uint8), x, y) > 127
        frame[mask] = shifted(shape, x, y)[mask]
    return frame


def planes(pixels: Pixels) -> Planes:
    return planes_of(studio_frame(pixels))


def error(found: Planes, truth: Planes) -> float:
    sides = zip(found, truth, strict=True)
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in sides]))


async def interpolated(
    engine: Any, blobs: FsspecBlobStore, path: Path | None = None, **fields: Any
) -> tuple[InterpolatedVideo, bytes]:
    if path is not None:
        fields["video"] = await blobs.write_file(path)
    result = await last(engine.interpolate(InterpolateVideo(model="flow", **fields)))
    assert isinstance(result, InterpolatedVideo)
    data = b"".join([chunk async for chunk in blobs.read(result.video)])
    return result, data


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("begin", [0, 3])
def test_nearer_to_the_truth_than_blending(share: float, begin: int) -> None:
    first, truth, second = (planes(scene(moment)) for moment in (begin, begin + share, begin + 1))
    way = PlanesBetween(first, second)
    assert not way.is_cut
    blended = error(dissolved(first, second, share), truth)
    assert error(way.at(share), truth) < 0.5 * blended


def test_what_is_covered_and_uncovered_is_taken_from_where_it_is_seen() -> None:
    """Left of the moving card its background comes to light, which the first image hides."""
    first, truth, second = (planes(scene(moment)).y.astype(int) for moment in (0, 0.5, 1))
    found = PlanesBetween(planes(scene(0)), planes(scene(1))).at(0.5).y.astype(int)
    uncovered = np.s_[95:145, 41:46]
    hidden = np.abs(first[uncovered] - truth[uncovered]).mean()
    assert np.abs(found[uncovered] - truth[uncovered]).mean() < 0.7 * hidden
    covered = np.s_[95:145, 121:125]
    hidden = np.abs(second[covered] - truth[covered]).mean()
    assert np.abs(found[covered] - truth[covered]).mean() < 0.7 * hidden


async def test_a_whole_video_is_nearer_to_the_truth_than_blending(
    flow: FlowInterpolation, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "video.mp4", [scene(2 * number) for number in range(6)])
    _, data = await interpolated(flow, blobs, source)
    check_playable(data, size=(WIDTH, HEIGHT), fps=20, frames=12)
    shown, given = decoded(data), decoded(source.read_bytes())
    for number in range(5):
        truth = scene(2 * number + 1).astype(int)
        blended = given[number].astype(int) // 2 + given[number + 1] // 2
        found = np.abs(shown[2 * number + 1] - truth).mean()
        # Two encodings come on top of both.
        assert found < 0.85 * np.abs(blended - truth).mean()
        assert np.abs(shown[2 * number].astype(int) - given[number]).mean() < 4


@pytest.mark.parametrize(
    ("fields", "fps", "frames"),
    [
        ({}, 20, 40),
        ({"fps_multiplier": 3}, 30, 60),
        ({"fps_multiplier": 8}, 80, 160),
        ({"output_fps": 25.0}, 25, 50),
        ({"output_fps": 29.97}, 30000 / 1001, 60),
        ({"output_fps": 5.0}, 5, 10),
    ],
)
async def test_rates_length_and_audio(
    flow: FlowInterpolation,
    blobs: FsspecBlobStore,
    tmp_path: Path,
    fields: dict[str, Any],
    fps: float,
    frames: int,
) -> None:
    source = clip(tmp_path / "video.mp4", 2.0, audio=tone(2.0))
    result, data = await interpolated(flow, blobs, source, **fields)
    check_playable(data, size=(64, 48), fps=fps, frames=frames)
    assert (result.num_frames, result.engine) == (frames, "optical_flow")
    assert result.fps == pytest.approx(fps)
    assert result.duration_s == pytest.approx(2.0, abs=0.02)
    assert audio_packets(data) == audio_packets(source.read_bytes())


def levels(frames: list[Pixels]) -> list[int]:
    return [round(float(frame.mean())) for frame in frames]


async def test_shots_are_not_blended_into_each_other(
    flow: FlowInterpolation, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    shots = [landscape(WIDTH, HEIGHT, seed=1)] * 2 + [landscape(WIDTH, HEIGHT, seed=2)] * 2
    source = write_video(tmp_path / "video.mp4", shots)
    _, data = await interpolated(flow, blobs, source, fps_multiplier=3)
    for number, frame in enumerate(decoded(data)):
        shot = shots[0] if number < 5 else shots[2]
        assert np.abs(frame.astype(int) - shot).mean() < 6, number


def test_cuts_between_images_without_detail() -> None:
    first, second = np.zeros((240, 320, 3), np.uint8), np.zeros((240, 320, 3), np.uint8)
    first[20:60, 20:60], second[150:220, 200:290] = 255, (0, 200, 80)
    assert PlanesBetween(planes(first), planes(second)).is_cut


def test_noise_and_fading_are_no_cuts() -> None:
    image = landscape(WIDTH, HEIGHT)
    noise = np.random.default_rng(0).normal(0, 10, (2, HEIGHT, WIDTH, 3))
    noisy = [np.clip(image + part, 0, 255).astype(np.uint8) for part in noise]
    assert not PlanesBetween(*map(planes, noisy)).is_cut
    darker = (image * 0.85).astype(np.uint8)
    assert not PlanesBetween(planes(image), planes(darker)).is_cut


def test_frames_at_times_of_their_own() -> None:
    """Frames of 0, 40, 80, 120 levels, shown at uneven times; those between are in proportion."""

    def still(level: int, at_s: float) -> GivenFrame:
        half = np.full((24, 32), 128, np.uint8)
        return GivenFrame(at_s, Planes(np.full((48, 64), level, np.uint8), half, half))

    given = (still(*what) for what in ((0, 0.0), (40, 0.1), (80, 0.5), (120, 0.6)))
    source = FrameSource(given, Size(width=64, height=48), fps=10, duration_s=0.7, has_cuts=False)
    found = between(source, Fraction(20), FlowFinder())
    shades = [int(planes.y[0, 0]) for planes in found]
    assert shades == [0, 20, 40, 45, 50, 55, 60, 65, 70, 75, 80, 100, 120, 120]


async def test_a_single_frame(
    flow: FlowInterpolation, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "video.mp4", [landscape(64, 48)])
    _, data = await interpolated(flow, blobs, source, fps_multiplier=4)
    check_playable(data, size=(64, 48), fps=40, frames=4)


async def test_from_an_image_to_another(flow: FlowInterpolation, blobs: FsspecBlobStore) -> None:
    ends = {
        "init_image": await stored(blobs, png("black", (64, 48))),
        "end_image": await stored(blobs, png("white", (64, 48))),
    }
    result, data = await interpolated(flow, blobs, fps_multiplier=4, **ends)
    check_playable(data, size=(64, 48), fps=8, frames=8)
    assert result.duration_s == pytest.approx(1.0)
    shades = levels(decoded(data))
    assert shades == sorted(shades)
    assert shades[0] < 5
    assert shades[2] == pytest.approx(128, abs=12)
    assert min(shades[4:]) > 250


async def test_images_of_unlike_sizes(flow: FlowInterpolation, blobs: FsspecBlobStore) -> None:
    ends = {
        "init_image": await stored(blobs, png("black", (63, 47))),
        "end_image": await stored(blobs, png("white", (90, 30))),
    }
    result, data = await interpolated(flow, blobs, **ends)
    check_playable(data, size=(64, 48), fps=4, frames=4)
    assert texts_of(result.warnings) == (
        "end_image: cropped and resized to the size of the first image",
    )


@pytest.mark.parametrize("degrees", [90, 180])
async def test_a_turned_video_stands_upright(
    flow: FlowInterpolation, blobs: FsspecBlobStore, tmp_path: Path, degrees: int
) -> None:
    flat = write_video(tmp_path / "flat.mp4", [scene(number)[:, :310] for number in range(3)])
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", degrees, "-i", flat, "-c", "copy", turned)
    _, data = await interpolated(flow, blobs, turned)
    size = (HEIGHT, 310) if degrees == 90 else (310, HEIGHT)
    check_playable(data, size=size, fps=20, frames=6)
    truth = np.rot90(scene(1)[:, :310], k=degrees // 90)
    assert np.abs(decoded(data)[2].astype(int) - truth).mean() < 8


@pytest.mark.parametrize("format", ["yuv444p", "yuvj420p", "yuv420p10le"])
async def test_odd_sides_and_other_planes(
    flow: FlowInterpolation, blobs: FsspecBlobStore, tmp_path: Path, format: str
) -> None:
    source = tmp_path / "odd.mkv"
    size = "63x47" if format == "yuv444p" else "64x48"
    pattern = f"testsrc=size={size}:rate=10:duration=0.5"
    ffmpeg("-f", "lavfi", "-i", pattern, "-c:v", "libx264", "-pix_fmt", format, source)
    _, data = await interpolated(flow, blobs, source)
    check_playable(data, size=(64, 48), fps=20, frames=10)
    # Without colours, which some of the formats keep in more places than others.
    truth, found = decoded(source.read_bytes())[0], decoded(data)[0][:47, :63]
    first, second = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (truth[:47, :63], found))
    assert cv2.absdiff(first, second).mean() < 5


async def test_a_slow_video(
    flow: FlowInterpolation, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "video.mp4", [landscape(32, 32)] * 3, fps=1)
    _, data = await interpolated(flow, blobs, source)
    check_playable(data, size=(32, 32), fps=2, frames=6)


async def test_a_fast_video(
    flow: FlowInterpolation, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "video.mp4", [landscape(32, 32)] * 24, fps=240)
    with pytest.raises(InvalidRequest, match="480 frames per second") as caught:
        await interpolated(flow, blobs, source)
    assert caught.value.param == "fps_multiplier"
    _, data = await interpolated(flow, blobs, source, output_fps=120.0)
    check_playable(data, size=(32, 32), fps=120, frames=12)


async def test_bad_media_are_refused_and_the_engine_lives_on(
    flow: FlowInterpolation, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    with VideoWriter(tmp_path / "whole.mp4", Size(width=64, height=48), fps=10) as writer:
        for number in range(20):
            writer.write(landscape(64, 48, seed=number))
        writer.finish()
    whole = (tmp_path / "whole.mp4").read_bytes()
    audio = tmp_path / "sound.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=300:duration=1", audio)
    for content in (whole[: len(whole) // 2], audio.read_bytes(), png(), b"no video"):
        with pytest.raises(InvalidRequest) as caught:
            await interpolated(flow, blobs, video=await stored(blobs, content))
        assert caught.value.param == "video"
    good, broken = await stored(blobs, png()), await stored(blobs, png()[:40])
    pairs: list[tuple[Any, Any, type[Exception], str]] = [
        (good, broken, InvalidRequest, "end_image"),
        (broken, good, InvalidRequest, "init_image"),
        (await stored(blobs, huge_png()), good, PayloadTooLarge, "init_image"),
        (good, None, InvalidRequest, "end_image"),
        (None, good, InvalidRequest, "init_image"),
        (None, None, InvalidRequest, "video"),
    ]
    for first, second, error_type, param in pairs:
        with pytest.raises(error_type) as refused:
            await interpolated(flow, blobs, init_image=first, end_image=second)
        assert refused.value.param == param  # type: ignore[attr-defined]
    result, _ = await interpolated(flow, blobs, tmp_path / "whole.mp4")
    assert result.num_frames == 40


async def test_long_videos_are_refused(
    flow: FlowInterpolation, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    video = clip(tmp_path / "video.mp4", 2.0)
    with pytest.raises(PayloadTooLarge, match="more than the allowed") as caught:
        await interpolated(flow, blobs, video, max_duration_s=1.5)
    assert caught.value.param == "video"


async def test_progress_in_frames_and_cancelling(
    flow: FlowInterpolation, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "video.mp4", [scene(number) for number in range(4)] * 5)
    request = InterpolateVideo(model="flow", video=await blobs.write_file(source), fps_multiplier=8)
    async with aclosing(flow.interpolate(request)) as events:
        first = await anext(events)
        assert isinstance(first, Progress)
        assert (first.phase, first.current, first.total) == ("interpolate", 1, 160)
    result, _ = await interpolated(flow, blobs, clip(tmp_path / "next.mp4", 0.5))
    assert result.num_frames == 10


async def test_the_fake(blobs: FsspecBlobStore, tmp_path: Path) -> None:
    engine = FakeInterpolation(FakeOptions(task="interpolation"), MODEL, blobs=blobs)
    result, data = await interpolated(engine, blobs, clip(tmp_path / "video.mp4", 1.0))
    check_playable(data, size=(64, 48), fps=20, frames=20)
    assert result.engine == "fake"
