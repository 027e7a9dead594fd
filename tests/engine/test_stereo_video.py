"""Videos for two eyes: what is seen where, sizes, times, audio, cancelling, and what is refused."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployments.fakes.vision import FakeDepth
from deployments.image.transformers_depth import TransformersDepth
from deployments.video.stereo_video import FLAT, PARALLAX, StereoConversion, view_size
from deployments.video.video_decoding import video_frames
from deployments.video.video_encoding import VideoWriter
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, Cancelled, InvalidRequest, PayloadTooLarge
from serve_app.core.image.depth import ConvertToStereo, StereoVideo
from serve_app.core.image.images import Size
from serve_app.core.message import Progress
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.text import TransformersOptions
from tests.engine.tiny_vision import last, save_depth_anything, save_dpt, save_zoedepth
from tests.images import png
from tests.material import clip, tone
from tests.notices import texts_of
from tests.videos import (
    audio_packets,
    check_playable,
    decoded,
    ffmpeg,
    landscape,
    look,
    write_video,
)

MODEL = Model(id="tiny", source="tiny")
LUMA = (0.299, 0.587, 0.114)
SAVE = {"depth-anything": save_depth_anything, "midas": save_dpt, "zoe": save_zoedepth}


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(tmp_path_factory.mktemp(name)) for name, save in SAVE.items()}


@pytest.fixture
def fake(blobs: FsspecBlobStore) -> FakeDepth:
    """Bright is near."""
    return FakeDepth(FakeOptions(task="depth"), MODEL, blobs=blobs)


def engine_of(path: Path, blobs: FsspecBlobStore) -> TransformersDepth:
    options = TransformersOptions(task="depth", device="cpu", threads=1)
    return TransformersDepth(options, MODEL, path=path, blobs=blobs)


async def converted(
    engine: Any, blobs: FsspecBlobStore, path: Path, **fields: Any
) -> tuple[StereoVideo, bytes]:
    request = ConvertToStereo(model="tiny", video=await blobs.write_file(path), **fields)
    result = await last(engine.convert_to_stereo(request))
    assert isinstance(result, StereoVideo)
    return result, b"".join([chunk async for chunk in blobs.read(result.video)])


def bright_square(width: int = 640, height: int = 120) -> Any:
    """A white square, 80 by 80 at 280, 20, before a dark ground."""
    image = (landscape(width, height) // 8).astype(np.uint8)
    image[20:100, 280:360] = 255
    return image


def edges(eye: Any) -> tuple[int, int]:
    """Where the square begins and ends in the middle row."""
    (columns,) = np.nonzero(eye[60, :, 1] > 128)
    return int(columns.min()), int(columns.max()) + 1


async def test_what_is_near_is_seen_apart_by_both_eyes(
    fake: FakeDepth, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "video.mp4", [bright_square()] * 5)
    result, data = await converted(fake, blobs, source)
    check_playable(data, size=(1280, 120), fps=10, frames=5)
    assert (result.size.width, result.size.height, result.warnings) == (1280, 120, ())
    half_px = PARALLAX * 640 / 2
    for frame in decoded(data):
        left, right = np.split(frame, 2, axis=1)
        assert edges(left) == pytest.approx((280 + half_px, 360 + half_px), abs=1)
        assert edges(right) == pytest.approx((280 - half_px, 360 - half_px), abs=1)
        before = decoded(source.read_bytes())[0].astype(int)
        for eye in (left, right):
            kept = np.r_[0:250, 390:640]
            assert np.abs(eye[:, kept] - before[:, kept]).mean() < 3


async def test_length_times_and_audio_are_kept(
    fake: FakeDepth, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = clip(tmp_path / "video.mp4", 2.0, audio=tone(2.3))
    result, data = await converted(fake, blobs, source)
    check_playable(data, size=(128, 48), fps=10, frames=20)
    assert (result.fps, result.num_frames) == (10, 20)
    assert result.duration_s == pytest.approx(2.0, abs=0.01)
    kept = audio_packets(data)
    assert kept
    assert kept == audio_packets(source.read_bytes())
    assert result.facts()[result.video.sha256].width == 128


async def test_frames_keep_times_of_their_own(
    fake: FakeDepth, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    times = [0.0, 0.1, 0.5, 0.6, 2.0]
    path = tmp_path / "video.mp4"
    with VideoWriter(path, Size(width=64, height=48), fps=10, is_timed=True) as writer:
        for number, at_s in enumerate(times):
            writer.write(landscape(64, 48, seed=number), at_s=at_s)
        writer.finish()
    _, data = await converted(fake, blobs, path)
    (tmp_path / "made.mp4").write_bytes(data)
    shown = [frame.at_s for frame in video_frames(tmp_path / "made.mp4", param="video")]
    assert shown == pytest.approx(times, abs=0.001)


@pytest.mark.parametrize("size", [(63, 47), (2, 2), (16, 200)])
async def test_odd_sizes_and_a_single_frame(
    fake: FakeDepth, blobs: FsspecBlobStore, tmp_path: Path, size: tuple[int, int]
) -> None:
    source = tmp_path / "odd.mkv"
    pattern = f"testsrc=size={size[0]}x{size[1]}:rate=10:duration=0.1"
    ffmpeg("-f", "lavfi", "-i", pattern, "-c:v", "ffv1", "-pix_fmt", "bgr0", source)
    result, data = await converted(fake, blobs, source)
    width, height = size[0] + size[0] % 2, size[1] + size[1] % 2
    check_playable(data, size=(2 * width, height), fps=10, frames=1)
    assert result.num_frames == 1
    [before] = [frame.pixels for frame in video_frames(source, param="video")]
    [after] = decoded(data)
    for eye in np.split(after, 2, axis=1):
        seen = eye[: size[1], : size[0]].astype(int)
        # Colour is shared by four pixels, brightness is not.
        assert (seen @ LUMA).mean() == pytest.approx((before @ LUMA).mean(), abs=12)


def test_eyes_are_squeezed_where_h264_has_no_such_images() -> None:
    assert view_size(Size(width=3840, height=2160)) == (Size(width=3840, height=2160), ())
    size, [warning] = view_size(Size(width=8192, height=4320))
    assert (size.width, size.height) == (4096, 4320)
    assert "8192" not in warning.text.partition("16384x4320")[0]
    assert warning.text.startswith("each view has half of the video's width")
    assert view_size(Size(width=10_001, height=99))[0] == Size(width=5002, height=100)


async def test_a_squeezed_video(fake: FakeDepth, blobs: FsspecBlobStore, tmp_path: Path) -> None:
    frame = np.zeros((64, 8400, 3), dtype=np.uint8)
    frame[:, 4000:4400] = 255
    source = write_video(tmp_path / "wide.mp4", [frame] * 2)
    result, data = await converted(fake, blobs, source)
    check_playable(data, size=(8400, 64), fps=10, frames=2)
    assert len(result.warnings) == 1
    half_px = PARALLAX * 8400 / 4
    left, right = np.split(decoded(data)[0][30, :, 1] > 128, 2)
    assert np.nonzero(left)[0].min() == pytest.approx(2000 + half_px, abs=2)
    assert np.nonzero(right)[0].min() == pytest.approx(2000 - half_px, abs=2)


@pytest.mark.parametrize("method", SAVE)
async def test_a_checkpoint_looks_at_every_frame(
    method: Any, checkpoints: dict[str, Path], blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    engine = engine_of(checkpoints[method], blobs)
    source = write_video(tmp_path / "video.mp4", [landscape(96, 64, seed=i) for i in range(3)])
    result, data = await converted(engine, blobs, source, method=method)
    check_playable(data, size=(192, 64), fps=10, frames=3)
    assert result.warnings == ()


async def test_near_is_seen_apart_whatever_the_model_measures(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "video.mp4", [bright_square()] * 2)
    for method, distance in (("midas", False), ("zoe", True)):
        engine = engine_of(checkpoints[method], blobs)

        def told(image: Image.Image, _: Any, is_distance: bool = distance) -> Any:
            grey = np.asarray(image.convert("L"), dtype=np.float32)
            return 256 - grey if is_distance else grey

        engine._depth = told  # type: ignore[method-assign]
        _, data = await converted(engine, blobs, source)
        left, right = np.split(decoded(data)[0], 2, axis=1)
        assert edges(left)[0] - edges(right)[0] == pytest.approx(PARALLAX * 640, abs=2)


async def test_another_kind_of_model_is_told(
    checkpoints: dict[str, Path], fake: FakeDepth, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "video.mp4", [landscape(64, 48)])
    result, _ = await converted(engine_of(checkpoints["midas"], blobs), blobs, source, method="zoe")
    assert texts_of(result.warnings) == (
        "no depth model of the kind 'zoe' is available; 'tiny' was used, which is 'midas'",
    )
    result, _ = await converted(fake, blobs, source, method="zoe")
    assert texts_of(result.warnings) == (
        "no depth model of the kind 'zoe' is available; 'tiny' was used, which is of another kind",
    )


async def test_a_video_without_depth_says_so(
    fake: FakeDepth, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    grey = np.full((48, 64, 3), 90, dtype=np.uint8)
    result, data = await converted(fake, blobs, write_video(tmp_path / "video.mp4", [grey] * 2))
    assert result.warnings == (FLAT,)
    left, right = np.split(decoded(data)[0].astype(int), 2, axis=1)
    assert np.abs(left - right).max() < 3


async def test_bad_videos_are_refused_and_the_engine_lives_on(
    fake: FakeDepth, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    audio = tmp_path / "sound.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=300:duration=1", audio)
    for content in (audio.read_bytes(), png(), b"no video"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(InvalidRequest) as caught:
            await converted(fake, blobs, tmp_path / "bad")
        assert caught.value.param == "video"
    video = clip(tmp_path / "video.mp4", 2.0)
    with pytest.raises(PayloadTooLarge) as refused:
        await converted(fake, blobs, video, max_duration_s=1.5)
    assert refused.value.param == "video"
    result, _ = await converted(fake, blobs, video)
    assert result.num_frames == 20


def counted(engine: Any) -> Callable[[], int]:
    """How often the engine has looked at an image."""
    looks = 0
    real = engine._depth

    def depth(image: Image.Image, stop: Callable[[], bool]) -> Any:
        nonlocal looks
        looks += 1
        return real(image, stop)

    engine._depth = depth
    return lambda: looks


async def test_progress_in_frames_and_cancelling_between_them(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    engine = engine_of(checkpoints["midas"], blobs)
    looks = counted(engine)
    source = write_video(tmp_path / "video.mp4", [landscape(64, 64, seed=i) for i in range(40)])
    request = ConvertToStereo(model="tiny", video=await blobs.write_file(source))
    async with aclosing(engine.convert_to_stereo(request)) as events:
        first = await anext(events)
        assert isinstance(first, Progress)
        assert (first.phase, first.current, first.total) == ("stereo", 1, 40)
    # Closing waits for the threads.
    after = looks()
    assert after < 40
    await asyncio.sleep(0.05)
    assert looks() == after
    result, _ = await converted(engine, blobs, source)
    assert result.num_frames == 40


async def test_a_look_is_broken_off_between_layers(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore
) -> None:
    engine = engine_of(checkpoints["midas"], blobs)
    layers = 0

    def stop() -> bool:
        nonlocal layers
        layers += 1
        return layers > 5

    with pytest.raises(Cancelled):
        engine._depth(Image.new("RGB", (32, 32)), stop)
    assert layers == 6
    assert engine._depth(Image.new("RGB", (32, 32)), lambda: False).shape == (32, 32)


async def test_images_and_videos_take_turns(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    engine = engine_of(checkpoints["midas"], blobs)
    video = write_video(tmp_path / "video.mp4", [landscape(64, 48, seed=i) for i in range(6)])
    made = await asyncio.gather(*(converted(engine, blobs, video) for _ in range(2)))
    assert [result.num_frames for result, _ in made] == [6, 6]
    assert made[0][0].video == made[1][0].video


async def test_a_closed_engine_refuses(
    checkpoints: dict[str, Path], blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    engine = engine_of(checkpoints["midas"], blobs)
    await engine.close()
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await converted(engine, blobs, clip(tmp_path / "video.mp4", 0.5))


async def test_what_goes_wrong_with_a_frame_ends_the_video(
    blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    def broken(*_: object) -> Any:
        raise BackendUnavailable("it broke")

    engine = StereoConversion(broken, method=None, blobs=blobs)
    with pytest.raises(BackendUnavailable, match="it broke"):
        await converted(engine, blobs, clip(tmp_path / "video.mp4", 0.5, audio=tone(0.5)))


async def test_a_turned_video_stands_upright(
    fake: FakeDepth, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    frame[:, :32] = 255
    flat = write_video(tmp_path / "flat.mp4", [frame] * 3)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-i", flat, "-c", "copy", turned)
    _, data = await converted(fake, blobs, turned)
    assert look(data).size == (96, 64)
