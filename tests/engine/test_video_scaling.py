"""Videos made larger: sizes, times, colours, audio, cancelling, and what is refused."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from deployments.fakes.vision import FakeUpscaling
from deployments.image.lanczos_upscaling import WARNING, LanczosUpscaling
from deployments.image.swin2sr_upscaling import Swin2srUpscaling
from deployments.video.video_decoding import video_frames
from deployments.video.video_encoding import VideoWriter
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, PayloadTooLarge
from serve_app.core.image.images import Size
from serve_app.core.image.upscaling import UpscaledVideo, UpscaleVideo
from serve_app.core.message import Progress
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import LanczosOptions, Swin2srOptions
from tests.engine.tiny_vision import last, save_swin2sr
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


@pytest.fixture(scope="session")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_swin2sr(tmp_path_factory.mktemp("twice"))


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def lanczos(blobs: FsspecBlobStore) -> LanczosUpscaling:
    return LanczosUpscaling(LanczosOptions(), MODEL, path=None, blobs=blobs)


def swin2sr(path: Path, blobs: FsspecBlobStore) -> Swin2srUpscaling:
    options = Swin2srOptions(device="cpu", threads=1, tile_px=32, overlap_px=8)
    return Swin2srUpscaling(options, MODEL, path=path, blobs=blobs)


async def upscaled(
    engine: Any, blobs: FsspecBlobStore, path: Path, factor: Any = 2
) -> tuple[UpscaledVideo, bytes]:
    request = UpscaleVideo(
        model="tiny", video=await blobs.write_file(path), factor=factor, allows_resize=True
    )
    result = await last(engine.upscale_video(request))
    assert isinstance(result, UpscaledVideo)
    data = b"".join([chunk async for chunk in blobs.read(result.video)])
    return result, data


@pytest.mark.parametrize("factor", [2, 3, 4])
async def test_size_times_and_audio(
    lanczos: LanczosUpscaling, blobs: FsspecBlobStore, tmp_path: Path, factor: int
) -> None:
    source = clip(tmp_path / "video.mp4", 2.0, audio=tone(2.3))
    result, data = await upscaled(lanczos, blobs, source, factor)
    check_playable(data, size=(64 * factor, 48 * factor), fps=10, frames=20)
    assert (result.size.width, result.size.height) == (64 * factor, 48 * factor)
    assert (result.fps, result.num_frames, result.engine) == (10, 20, "lanczos")
    assert result.duration_s == pytest.approx(2.0, abs=0.01)
    assert result.warnings == (WARNING,)
    kept = audio_packets(data)
    assert kept
    assert kept == audio_packets(source.read_bytes())


async def test_what_is_seen_stays_the_same(
    lanczos: LanczosUpscaling, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    frames = [np.roll(landscape(64, 48), 3 * shift, axis=1) for shift in range(6)]
    source = write_video(tmp_path / "video.mp4", frames)
    _, data = await upscaled(lanczos, blobs, source)
    before = decoded(source.read_bytes())
    for small, large in zip(before, decoded(data), strict=True):
        back = large.reshape(48, 2, 64, 2, 3).astype(int).mean(axis=(1, 3))
        assert np.abs(back - small).mean() < 5


async def test_a_checkpoint_frame_by_frame(
    twice: Path, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "video.mp4", [landscape(40, 34, seed=i) for i in range(3)])
    result, data = await upscaled(swin2sr(twice, blobs), blobs, source, 4)
    check_playable(data, size=(160, 136), fps=10, frames=3)
    assert result.engine == "swin2sr"
    assert texts_of(result.warnings) == ("scale: the model enlarges 2 times; 2 passes",)


async def test_frames_keep_times_of_their_own(
    lanczos: LanczosUpscaling, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    times = [0.0, 0.1, 0.5, 0.6, 2.0]
    path = tmp_path / "video.mp4"
    with VideoWriter(path, Size(width=64, height=48), fps=10, is_timed=True) as writer:
        for number, at_s in enumerate(times):
            writer.write(landscape(64, 48, seed=number), at_s=at_s)
        writer.finish()
    _, data = await upscaled(lanczos, blobs, path)
    (tmp_path / "large.mp4").write_bytes(data)
    shown = [frame.at_s for frame in video_frames(tmp_path / "large.mp4", param="video")]
    assert shown == pytest.approx(times, abs=0.001)


@pytest.mark.parametrize(
    ("size", "factor", "made"), [((63, 47), 2, (126, 94)), ((63, 47), 3, (190, 142))]
)
async def test_odd_sides(
    lanczos: LanczosUpscaling,
    blobs: FsspecBlobStore,
    tmp_path: Path,
    size: tuple[int, int],
    factor: int,
    made: tuple[int, int],
) -> None:
    source = tmp_path / "odd.mkv"
    pattern = f"testsrc=size={size[0]}x{size[1]}:rate=10:duration=0.5"
    ffmpeg("-f", "lavfi", "-i", pattern, "-c:v", "libx264", "-pix_fmt", "yuv444p", source)
    _, data = await upscaled(lanczos, blobs, source, factor)
    check_playable(data, size=made, fps=10, frames=5)


async def test_a_turned_video_stands_upright(
    lanczos: LanczosUpscaling, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    frame[:, :32] = 255
    flat = write_video(tmp_path / "flat.mp4", [frame] * 3)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-i", flat, "-c", "copy", turned)
    _, data = await upscaled(lanczos, blobs, turned)
    check_playable(data, size=(96, 128), fps=10, frames=3)
    upper, lower = np.split(decoded(data)[0], 2)
    assert abs(int(upper.mean()) - int(lower.mean())) > 200


async def test_what_is_lost_is_said(
    lanczos: LanczosUpscaling, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = tmp_path / "rich.mkv"
    said = "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    images = ["-f", "lavfi", "-i", "color=0x818181:size=64x48:rate=10:duration=1"]
    recordings = [
        "-f",
        "lavfi",
        "-i",
        "sine=300:duration=1",
        "-f",
        "lavfi",
        "-i",
        "sine=600:duration=1",
    ]
    codecs = ["-c:v", "libx265", "-x265-params", said, "-pix_fmt", "yuv420p10le", "-c:a", "aac"]
    ffmpeg(*images, *recordings, "-map", 0, "-map", 1, "-map", 2, *codecs, source)
    result, data = await upscaled(lanczos, blobs, source)
    check_playable(data, size=(128, 96), fps=10, frames=10)
    assert texts_of(result.warnings)[:2] == (
        "audio_track: track 0 (und, default) was used; the file has 0 (und, default), 1 (und)",
        "video: its high dynamic range was converted to standard range",
    )


def test_colours_are_taken_over_as_they_are(tmp_path: Path) -> None:
    source, target = tmp_path / "video.mp4", tmp_path / "large.mp4"
    said = "colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m"
    pattern = "testsrc=size=64x48:rate=10:duration=0.5"
    ffmpeg("-f", "lavfi", "-i", pattern, "-pix_fmt", "yuv420p", "-x264-params", said, source)
    engine_blobs = FsspecBlobStore(tmp_path / "blobs")
    engine = LanczosUpscaling(LanczosOptions(), MODEL, path=None, blobs=engine_blobs)
    _, data = asyncio.run(upscaled(engine, engine_blobs, source))
    target.write_bytes(data)
    with av.open(str(target)) as video:
        context = video.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (6, 6, 6)
    small, large = decoded(source.read_bytes())[2], decoded(data)[2]
    back = large.reshape(48, 2, 64, 2, 3).astype(int).mean(axis=(1, 3))
    assert np.abs(back.mean(axis=(0, 1)) - small.mean(axis=(0, 1))).max() < 3


@pytest.mark.parametrize("rate", [1, 240])
async def test_slow_and_fast_videos(
    lanczos: LanczosUpscaling, blobs: FsspecBlobStore, tmp_path: Path, rate: int
) -> None:
    source = write_video(
        tmp_path / "video.mp4", [landscape(32, 32, seed=i) for i in range(4)], fps=rate
    )
    result, data = await upscaled(lanczos, blobs, source)
    check_playable(data, size=(64, 64), fps=rate, frames=4)
    assert result.fps == rate


async def test_bad_videos_are_refused_and_the_engine_lives_on(
    lanczos: LanczosUpscaling, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    noisy = write_video(tmp_path / "noisy.mkv", [landscape(64, 48, seed=i) for i in range(20)])
    whole = tmp_path / "noisy.mp4"
    ffmpeg("-i", noisy, "-c", "copy", "-movflags", "+faststart", whole)
    data = whole.read_bytes()
    wide = write_video(tmp_path / "wide.mp4", [np.zeros((64, 8192, 3), dtype=np.uint8)] * 2)
    audio = tmp_path / "sound.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=300:duration=1", audio)
    cases: list[tuple[bytes, type[Exception], str]] = [
        (data[: len(data) // 2], InvalidRequest, "video"),
        (audio.read_bytes(), InvalidRequest, "video"),
        (png(), InvalidRequest, "video"),
        (b"no video", InvalidRequest, "video"),
        (wide.read_bytes(), PayloadTooLarge, "factor"),
    ]
    for content, error, param in cases:
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(error) as caught:
            await upscaled(lanczos, blobs, tmp_path / "bad", 4)
        assert caught.value.param == param  # type: ignore[attr-defined]
    result, _ = await upscaled(lanczos, blobs, whole)
    assert result.num_frames == 20


async def test_long_videos_are_refused(
    lanczos: LanczosUpscaling, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    blob = await blobs.write_file(clip(tmp_path / "video.mp4", 2.0))
    request = UpscaleVideo(model="tiny", video=blob, allows_resize=True, max_duration_s=1.5)
    with pytest.raises(PayloadTooLarge, match="2 s are more than the allowed 2 s") as caught:
        await last(lanczos.upscale_video(request))
    assert caught.value.param == "video"


async def test_lanczos_has_to_be_allowed(
    lanczos: LanczosUpscaling, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    blob = await blobs.write_file(clip(tmp_path / "video.mp4", 0.5))
    with pytest.raises(BackendUnavailable, match="only resizes") as caught:
        await last(lanczos.upscale_video(UpscaleVideo(model="tiny", video=blob)))
    assert caught.value.param == "allows_resize"


def counted(engine: Any) -> Callable[[], int]:
    """How often the engine's network has run."""
    runs = 0
    real = engine.run

    def run(tile: Any) -> Any:
        nonlocal runs
        runs += 1
        return real(tile)

    engine.run = run
    return lambda: runs


async def test_progress_in_frames_and_cancelling_between_tiles(
    twice: Path, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    engine = swin2sr(twice, blobs)
    runs = counted(engine)
    source = write_video(tmp_path / "video.mp4", [landscape(64, 64, seed=i) for i in range(30)])
    request = UpscaleVideo(model="tiny", video=await blobs.write_file(source))
    async with aclosing(engine.upscale_video(request)) as events:
        first = await anext(events)
        assert isinstance(first, Progress)
        assert (first.phase, first.current, first.total) == ("upscale", 1, 30)
    # Closing waits for the thread. A frame is 16 tiles.
    assert runs() < 16 * 30
    after = runs()
    await asyncio.sleep(0.05)
    assert runs() == after


async def test_a_closed_engine_refuses(twice: Path, blobs: FsspecBlobStore, tmp_path: Path) -> None:
    engine = swin2sr(twice, blobs)
    await engine.close()
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await upscaled(engine, blobs, clip(tmp_path / "video.mp4", 0.5))


async def test_the_fake_repeats_pixels(blobs: FsspecBlobStore, tmp_path: Path) -> None:
    engine = FakeUpscaling(FakeOptions(task="upscaling"), MODEL, blobs=blobs)
    result, data = await upscaled(engine, blobs, clip(tmp_path / "video.mp4", 1.0, audio=tone(1.0)))
    check_playable(data, size=(128, 96), fps=10, frames=10)
    assert (result.engine, result.warnings) == ("fake", ())
    assert look(data).audio_s == pytest.approx(1.0, abs=0.07)


def test_resizing_videos_needs_no_torch() -> None:
    script = (
        "import sys, deployments.image.lanczos_upscaling, deployments.video.video_scaling; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
