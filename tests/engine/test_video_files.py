"""Videos read and written: sizes, times, rotation, audio, dynamic range, and what is no video."""

import subprocess
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest

from deployments.video.video_decoding import at_rate, probed, video_frames
from deployments.video.video_encoding import VideoWriter, exact_rate
from serve_app.core.errors import InternalError, InvalidRequest
from serve_app.core.image.images import Size
from tests.images import png
from tests.material import clip, tone
from tests.videos import (
    Pixels,
    audio_packets,
    check_playable,
    decoded,
    landscape,
    look,
    write_video,
)


def ffmpeg(*arguments: object) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, check=True)


def shades(count: int, size: tuple[int, int] = (64, 48)) -> list[Pixels]:
    width, height = size
    return [np.full((height, width, 3), 10 + 5 * i, dtype=np.uint8) for i in range(count)]


def written(path: Path, frames: list[Pixels], **options: Any) -> VideoWriter:
    height, width = frames[0].shape[:2]
    options = {"fps": 10} | options
    with VideoWriter(path, Size(width=width, height=height), **options) as writer:
        for frame in frames:
            writer.write(frame)
        writer.finish()
    return writer


@pytest.mark.parametrize("fps", [1, 7, 24, 29.97, 59.94, 240])
def test_any_rate(tmp_path: Path, fps: float) -> None:
    writer = written(tmp_path / "video.mp4", shades(12), fps=fps)
    check_playable((tmp_path / "video.mp4").read_bytes(), size=(64, 48), fps=fps, frames=12)
    assert writer.num_frames == 12
    assert writer.duration_s == pytest.approx(12 / fps, rel=1e-4)


def test_rates_of_television() -> None:
    assert [str(exact_rate(fps)) for fps in (23.976, 29.97, 59.94, 5, 24, 12.5)] == [
        "24000/1001",
        "30000/1001",
        "60000/1001",
        "5",
        "24",
        "25/2",
    ]


def test_odd_sides_are_padded_with_what_is_beside(tmp_path: Path) -> None:
    frame = landscape(33, 47)
    writer = written(tmp_path / "video.mp4", [frame] * 3, quality="best")
    assert (writer.size.width, writer.size.height) == (34, 48)
    shown = decoded((tmp_path / "video.mp4").read_bytes())[0].astype(int)
    assert shown.shape == (48, 34, 3)
    assert np.abs(shown[:47, :33] - frame).mean() < 6
    assert np.abs(shown[:47, 33] - shown[:47, 32]).mean() < 6


def test_colours_survive(tmp_path: Path) -> None:
    colour = np.zeros((48, 64, 3), dtype=np.uint8)
    colour[:] = (200, 30, 90)
    written(tmp_path / "video.mp4", [colour] * 3)
    (first, *_) = video_frames(tmp_path / "video.mp4", param="video")
    assert np.abs(first.pixels[20, 20].astype(int) - (200, 30, 90)).max() <= 3


def test_frames_keep_times_of_their_own(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.5, 0.6, 2.0]
    path = tmp_path / "video.mp4"
    with VideoWriter(path, Size(width=64, height=48), fps=10, is_timed=True) as writer:
        for frame, at_s in zip(shades(5), times, strict=True):
            writer.write(frame, at_s=at_s)
        writer.finish()
    assert look(path.read_bytes()).duration_s == pytest.approx(2.1, abs=0.01)
    frames = list(video_frames(path, param="video"))
    assert [frame.at_s for frame in frames] == pytest.approx(times, abs=0.001)
    steady = list(at_rate(iter(frames), 10))
    levels = [round((int(shown[0, 0, 0]) - 10) / 5) for shown in steady]
    assert levels[:7] == [0, 1, 1, 1, 1, 2, 3]
    assert levels[7:20] == [3] * 13
    assert levels[20] == 4


@pytest.mark.parametrize(("fps", "count"), [(24, 48), (5, 10), (10, 20)])
def test_frames_are_dropped_or_repeated_for_another_rate(
    tmp_path: Path, fps: int, count: int
) -> None:
    frames = video_frames(clip(tmp_path / "video.mp4", 2.0), param="video")
    assert len(list(at_rate(frames, fps))) == count


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_videos_are_turned_upright(tmp_path: Path, degrees: int) -> None:
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    frame[:24] = 255
    flat = write_video(tmp_path / "flat.mp4", [frame] * 3)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", degrees, "-i", flat, "-c", "copy", turned)
    # The decoder's own turning is the truth here.
    ffmpeg("-i", turned, "-frames:v", 1, "-pix_fmt", "rgb24", "-f", "rawvideo", tmp_path / "raw")
    size = probed(turned, param="video").size
    assert (size.width, size.height) == ((48, 64) if degrees != 180 else (64, 48))
    truth = np.fromfile(tmp_path / "raw", dtype=np.uint8).reshape(size.height, size.width, 3)
    (first, *_) = video_frames(turned, param="video")
    assert np.abs(first.pixels.astype(int) - truth).mean() < 3


def test_pixels_become_square(tmp_path: Path) -> None:
    flat = write_video(tmp_path / "flat.mp4", shades(3))
    wide = tmp_path / "wide.mp4"
    ffmpeg("-i", flat, "-c", "copy", "-aspect", "16:6", wide)
    size = probed(wide, param="video").size
    assert (size.width, size.height) == (128, 48)
    (first, *_) = video_frames(wide, param="video")
    assert first.pixels.shape == (48, 128, 3)


@pytest.mark.parametrize(("transfer", "grey"), [("smpte2084", 0.508), ("arib-std-b67", 0.5)])
def test_high_dynamic_range_comes_down(tmp_path: Path, transfer: str, grey: float) -> None:
    """Half of the code range is well below white in the light that it stands for."""
    video = tmp_path / "deep.mp4"
    shade = round(grey * 255)
    source = f"color=0x{shade:02x}{shade:02x}{shade:02x}:size=64x48:rate=10:duration=0.3"
    said = f"log-level=none:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    encoder = ["-c:v", "libx265", "-x265-params", said, "-pix_fmt", "yuv420p10le"]
    ffmpeg("-f", "lavfi", "-i", source, *encoder, video)
    (first, *_) = video_frames(video, param="video")
    level = float(first.pixels.mean())
    assert np.ptp(first.pixels) <= 6
    # PQ code 0.508 is 100 nits, half of white; HLG code 0.5 is a twelfth of the scene's peak.
    assert 165 < level < 215


@pytest.mark.parametrize("codec", ["aac", "libopus"])
def test_audio_is_kept_as_long_as_the_image(tmp_path: Path, codec: str) -> None:
    spoken = clip(tmp_path / "spoken.mp4", 2.0, audio=tone(3.0))
    source = tmp_path / "source.mkv"
    ffmpeg("-i", spoken, "-c:v", "copy", "-c:a", codec, source)
    written(tmp_path / "video.mp4", shades(15), audio=source)
    found = look((tmp_path / "video.mp4").read_bytes())
    assert (found.audio_codec, found.duration_s) == ("aac", 1.5)
    assert found.audio_s == pytest.approx(1.5, abs=0.07)


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "ac3"])
def test_audio_that_mp4_can_hold_is_copied(tmp_path: Path, codec: str) -> None:
    spoken = clip(tmp_path / "spoken.mp4", 2.0, audio=tone(3.0))
    source = tmp_path / "source.mkv"
    ffmpeg("-i", spoken, "-c:v", "copy", "-c:a", codec, source)
    written(tmp_path / "video.mp4", shades(15), audio=source)
    kept, given = (
        [packet for _, packet in audio_packets(path.read_bytes())]
        for path in (tmp_path / "video.mp4", source)
    )
    assert len(kept) > 10
    assert kept == given[: len(kept)]


def test_a_video_without_audio_leaves_the_new_one_silent(tmp_path: Path) -> None:
    silent = clip(tmp_path / "silent.mp4", 1.0)
    written(tmp_path / "video.mp4", shades(10), audio=silent)
    assert look((tmp_path / "video.mp4").read_bytes()).audio_codec is None


def test_a_video_without_frames_is_not_written(tmp_path: Path) -> None:
    with (
        VideoWriter(tmp_path / "video.mp4", Size(width=64, height=48), fps=10) as writer,
        pytest.raises(InternalError, match="without frames"),
    ):
        writer.finish()


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with (
        VideoWriter(tmp_path / "video.mp4", Size(width=64, height=48), fps=10) as writer,
        pytest.raises(InternalError, match="64x64"),
    ):
        writer.write(landscape(64, 64))


def test_what_a_video_says_of_itself(tmp_path: Path) -> None:
    video = probed(clip(tmp_path / "video.mp4", 2.0, audio=tone(2.0)), param="video")
    assert (video.size.width, video.size.height, video.fps) == (64, 48, 10.0)
    assert (video.num_frames, video.has_audio) == (20, True)
    assert video.duration_s == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video"])
def test_old_containers(tmp_path: Path, codec: str) -> None:
    video = clip(tmp_path / "video.avi", 1.0, codec=codec)
    frames = list(video_frames(video, param="video"))
    assert [frame.at_s for frame in frames] == pytest.approx([i / 10 for i in range(10)])


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_video_that_is_cut_off(tmp_path: Path, share: float) -> None:
    noisy = [landscape(64, 48, seed=i) for i in range(20)]
    whole = written(tmp_path / "video.mp4", noisy)
    assert whole.num_frames == 20
    data = (tmp_path / "video.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidRequest, match="truncated") as caught:
        list(video_frames(tmp_path / "cut.mp4", param="video"))
    assert caught.value.param == "video"


def test_a_video_without_its_index(tmp_path: Path) -> None:
    data = write_video(tmp_path / "video.mp4", shades(20)).read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(InvalidRequest, match="no video can be decoded"):
        probed(tmp_path / "cut.mp4", param="video")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (png(), "an image, not a video"),
        (b"\x00\x00\x00\x18ftypisom" + bytes(100), "no video can be decoded"),
        (b"no video at all", "no video can be decoded"),
        (b"", "no video can be decoded"),
    ],
)
def test_what_is_no_video(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidRequest, match=said) as caught:
        probed(tmp_path / "file", param="video")
    assert caught.value.param == "video"
    assert str(tmp_path) not in caught.value.message


def test_audio_alone_is_no_video(tmp_path: Path) -> None:
    spoken = clip(tmp_path / "spoken.mp4", 1.0, audio=tone(1.0))
    ffmpeg("-i", spoken, "-vn", "-c:a", "copy", tmp_path / "sound.m4a")
    with pytest.raises(InvalidRequest, match="no video in this file"):
        probed(tmp_path / "sound.m4a", param="video")


def test_audio_that_is_none_names_its_field(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"no audio at all")
    with pytest.raises(InvalidRequest, match="no audio can be decoded") as caught:
        written(
            tmp_path / "video.mp4", shades(3), audio=tmp_path / "noise", audio_param="audio_file"
        )
    assert caught.value.param == "audio_file"
