"""Camera moves: what is seen moves as it was asked, repeatably, in every mode, until stopped."""

import io
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployments.video.camera_moves import CameraMoves
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import (
    AppError,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedCapability,
)
from serve_app.core.image.images import Size
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.options.video import CameraMovesOptions
from serve_app.core.video.generation import GeneratedVideo, GenerateVideo
from tests.material import clip, content, stored, tone
from tests.notices import texts_of
from tests.videos import (
    Pixels,
    check_playable,
    decoded,
    ffmpeg,
    landscape,
    look,
    motion,
    write_video,
)

SIZE = Size(width=160, height=120)


class Studio:
    """The engine, and what it is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = FsspecBlobStore(folder / "blobs")
        self.engine = CameraMoves(
            CameraMovesOptions(), Model(id="camera-moves"), path=None, blobs=self.blobs
        )

    async def image(self, pixels: Pixels) -> Blob:
        target = io.BytesIO()
        Image.fromarray(pixels).save(target, "PNG")
        return await stored(self.blobs, target.getvalue(), mime="image/png")

    async def video(self, path: Path) -> Blob:
        return await stored(self.blobs, path.read_bytes(), mime="video/mp4")

    async def made(self, **fields: Any) -> tuple[GeneratedVideo, bytes, list[Progress]]:
        request = GenerateVideo.model_validate(
            {"model": "camera-moves", "mode": "i2v", "seed": 1, "size": SIZE} | fields
        )
        *progress, last = [event async for event in self.engine.generate_video(request)]
        assert isinstance(last, GeneratedVideo)
        told = [event for event in progress if isinstance(event, Progress)]
        return last, await content(self.blobs, last.video), told


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    studio = Studio(tmp_path)
    await studio.engine.start()
    yield studio
    await studio.engine.close()


@pytest.mark.parametrize(
    ("asked", "right", "down", "growth", "turn"),
    [
        ("zoom-in", 0, 0, 1, 0),
        ("zoom-out", 0, 0, -1, 0),
        ("pan-right", -1, 0, 0, 0),
        ("pan-left", 1, 0, 0, 0),
        ("tilt-up", 0, 1, 0, 0),
        ("tilt-down", 0, -1, 0, 0),
        ("rotate", 0, 0, 0, 1),
    ],
)
async def test_what_is_seen_moves_against_the_camera(
    studio: Studio, asked: str, right: int, down: int, growth: int, turn: int
) -> None:
    image = await studio.image(landscape(240, 180))
    made, data, _ = await studio.made(image=image, num_frames=24, camera_motion=asked)
    check_playable(data, size=(160, 120), fps=24, frames=24)
    assert made.warnings == ()
    frames = decoded(data)
    seen = motion(frames[10], frames[13])
    # Far from nothing where it moves, and far less everywhere else.
    for told, found, much in (
        (right, seen.right, 2.0),
        (down, seen.down, 2.0),
        (growth, seen.growth, 0.01),
        (turn, seen.turn, 0.005),
    ):
        if told:
            assert found * told > much, seen
        else:
            assert abs(found) < much, seen


async def test_the_camera_starts_and_ends_softly(studio: Studio) -> None:
    image = await studio.image(landscape(240, 180))
    _, data, _ = await studio.made(image=image, num_frames=31, camera_motion="pan-right")
    frames = decoded(data)
    first, middle, last = (
        -motion(frames[at], frames[at + 1]).right for at in (0, 15, len(frames) - 2)
    )
    assert middle > 4 * max(first, 0.01)
    assert middle > 4 * max(last, 0.01)


async def test_moves_of_less_than_a_pixel(studio: Studio) -> None:
    image = await studio.image(landscape(240, 180))
    _, data, _ = await studio.made(
        image=image, num_frames=100, camera_motion="pan-right", strength=0.1, quality="best"
    )
    frames = decoded(data)
    steps = [-motion(frames[at], frames[at + 5]).right for at in range(30, 70, 5)]
    assert all(0.1 < step < 2 for step in steps), steps


async def test_a_still_is_zoomed_into_when_nothing_is_asked(studio: Studio) -> None:
    image = await studio.image(landscape(240, 180))
    made, data, progress = await studio.made(image=image)
    check_playable(data, size=(160, 120), fps=24, frames=72)
    assert (made.num_frames, made.fps, made.duration_s, made.seed) == (72, 24.0, 3.0, 1)
    frames = decoded(data)
    assert motion(frames[34], frames[38]).growth > 0.005
    assert [event.current for event in progress] == list(range(1, 73))
    assert {(event.phase, event.total) for event in progress} == {("frames", 72)}


async def test_without_strength_nothing_moves(studio: Studio) -> None:
    image = await studio.image(landscape(160, 120))
    _, data, _ = await studio.made(image=image, num_frames=5, strength=0.0)
    first, *_, last = decoded(data)
    assert np.abs(first.astype(int) - last).mean() < 2


async def test_a_seed_means_the_same_video(studio: Studio) -> None:
    image = await studio.image(landscape(240, 180))
    fields: dict[str, Any] = {"image": image, "num_frames": 12}
    first, _, _ = await studio.made(**fields)
    again, _, _ = await studio.made(**fields)
    other, _, _ = await studio.made(**fields, seed=2)
    assert first.video == again.video
    assert first.video != other.video


async def test_an_image_covers_the_video_and_is_not_stretched(studio: Studio) -> None:
    wide = np.zeros((100, 400, 3), dtype=np.uint8)
    wide[:, 150:250] = 255
    image = await studio.image(wide)
    size = Size(width=100, height=100)
    _, data, _ = await studio.made(image=image, size=size, num_frames=2, strength=0.0)
    assert decoded(data)[0][5:-5, 5:-5].min() > 200


@pytest.mark.parametrize(
    ("fields", "frames", "fps"),
    [
        ({"duration_s": 1.5}, 36, 24),
        ({"duration_s": 1.5, "fps": 8}, 12, 8),
        ({"num_frames": 9, "num_segments": 3}, 25, 24),
        ({"num_frames": 1, "fps": 1}, 1, 1),
        ({"num_frames": 12, "fps": 240}, 12, 240),
    ],
)
async def test_lengths(studio: Studio, fields: dict[str, Any], frames: int, fps: float) -> None:
    image = await studio.image(landscape(160, 120))
    made, data, _ = await studio.made(image=image, **fields)
    check_playable(data, size=(160, 120), fps=fps, frames=frames)
    assert made.duration_s == pytest.approx(frames / fps)


async def test_odd_sides_are_rounded_and_it_is_said(studio: Studio) -> None:
    image = await studio.image(landscape(160, 120))
    size = Size(width=161, height=119)
    made, data, _ = await studio.made(image=image, size=size, num_frames=2)
    check_playable(data, size=(162, 120), fps=24, frames=2)
    assert made.size == Size(width=162, height=120)
    assert texts_of(made.warnings) == ("size: rounded to 162x120",)


async def test_what_has_no_effect_is_said(studio: Studio) -> None:
    image = await studio.image(landscape(160, 120))
    made, _, _ = await studio.made(
        mode="ti2v", image=image, num_frames=2, prompt="a boat", steps=5, guidance_scale=2.0
    )
    assert texts_of(made.warnings) == (
        "steps have no effect on camera moves",
        "guidance has no effect on camera moves",
        "the prompt has no effect on camera moves",
    )
    drawn, _, _ = await studio.made(
        mode="t2v", image=image, num_frames=2, prompt="a boat", steps=5, guidance_scale=2.0
    )
    assert drawn.warnings == ()


async def test_what_a_video_of_ones_own_loses_is_said(studio: Studio, tmp_path: Path) -> None:
    source = tmp_path / "rich.mkv"
    images = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=1")
    recordings = ("-f", "lavfi", "-i", "sine=300:duration=1")
    ffmpeg(*images, *recordings, *recordings, "-map", 0, "-map", 1, "-map", 2, source)
    video = await studio.blobs.write_file(source, mime="video/mp4")
    made, _, _ = await studio.made(mode="v2v", video=video, size=None, strength=0.3)
    assert texts_of(made.warnings) == (
        "the strength has no effect without camera motion",
        "audio_track: track 0 (und, default) was used; the file has 0 (und, default), 1 (und)",
    )
    moved, _, _ = await studio.made(
        mode="v2v", video=video, size=None, strength=0.3, camera_motion="zoom-in"
    )
    assert moved.warnings == made.warnings[1:]


async def test_a_frame_to_go_on_from_is_a_still(studio: Studio) -> None:
    image = await studio.image(landscape(160, 120))
    _, data, _ = await studio.made(cond_frames=(image,), num_frames=2, strength=0.0)
    assert np.abs(decoded(data)[0].astype(int) - landscape(160, 120)).mean() < 8


async def test_a_video_goes_on_from_its_last_frame(studio: Studio, tmp_path: Path) -> None:
    images = [landscape(64, 48, seed=seed) for seed in range(10)]
    source = await studio.video(write_video(tmp_path / "source.mp4", images, fps=10))
    made, data, _ = await studio.made(
        mode="extend", video=source, size=None, fps=10, num_frames=8, camera_motion="zoom-in"
    )
    check_playable(data, size=(64, 48), fps=10, frames=18)
    assert made.num_frames == 18
    frames = decoded(data)
    for shown, told in zip(frames[:10], images, strict=True):
        assert np.abs(shown.astype(int) - told).mean() < 12
    step = [np.abs(frames[i].astype(int) - frames[i + 1]).mean() for i in range(8, 12)]
    # Image nine is another one than image eight; from there on it is one image.
    assert step[0] > 4 * max(step[1:])
    assert motion(frames[11], frames[15]).growth > 0.005


async def test_a_video_keeps_its_audio(studio: Studio, tmp_path: Path) -> None:
    source = await studio.video(clip(tmp_path / "spoken.mp4", 2.0, audio=tone(2.0)))
    _, data, _ = await studio.made(mode="extend", video=source, size=None, num_frames=24)
    found = look(data)
    assert (found.duration_s, found.audio_codec) == (3.0, "aac")
    assert found.audio_s == pytest.approx(2.0, abs=0.1)


async def test_a_camera_moves_over_a_video(studio: Studio, tmp_path: Path) -> None:
    still = [landscape(160, 120)] * 12
    source = await studio.video(write_video(tmp_path / "source.mp4", still, fps=12))
    made, data, _ = await studio.made(
        mode="v2v", video=source, size=None, fps=12, camera_motion="pan-right"
    )
    check_playable(data, size=(160, 120), fps=12, frames=12)
    assert made.num_frames == 12
    frames = decoded(data)
    assert motion(frames[5], frames[7]).right < -2
    _, plain, _ = await studio.made(mode="v2v", video=source, size=None, fps=6, num_frames=4)
    check_playable(plain, size=(160, 120), fps=6, frames=4)
    assert abs(motion(decoded(plain)[0], decoded(plain)[3]).right) < 0.2


async def test_from_an_image_to_the_same_one_moved(studio: Studio) -> None:
    """What lies between is moved as well, and not the two shown at once."""
    whole = landscape(180, 120)
    ends = [await studio.image(whole[:, at : at + 160]) for at in (0, 12)]
    _, data, _ = await studio.made(mode="interp", image=ends[0], end_image=ends[1], num_frames=9)
    frames = decoded(data)
    halfway = frames[4].astype(int)[:, 16:-16]
    truth = whole[:, 6 : 6 + 160].astype(int)[:, 16:-16]
    dissolved = (whole[:, :160].astype(int) + whole[:, 12:172])[:, 16:-16] // 2
    assert np.abs(halfway - truth).mean() < 0.5 * np.abs(dissolved - truth).mean()
    for at, frame in ((0, frames[0]), (12, frames[-1])):
        assert np.abs(frame.astype(int) - whole[:, at : at + 160]).mean() < 8


async def test_unlike_images_are_dissolved(studio: Studio) -> None:
    shades = (np.full((120, 160, 3), 40, np.uint8), np.full((120, 160, 3), 200, np.uint8))
    ends = [await studio.image(shade) for shade in shades]
    _, data, _ = await studio.made(mode="interp", image=ends[0], end_image=ends[1], num_frames=9)
    levels = [float(frame.mean()) for frame in decoded(data)]
    assert levels == sorted(levels)
    assert levels[0] == pytest.approx(40, abs=3)
    assert levels[4] == pytest.approx(120, abs=3)
    assert levels[-1] == pytest.approx(200, abs=3)


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({}, InvalidRequest, "image"),
        ({"mode": "t2v", "prompt": "a boat"}, InvalidRequest, "image"),
        ({"mode": "v2v"}, InvalidRequest, "video"),
        ({"mode": "interp"}, InvalidRequest, "end_image"),
        ({"image": "no image"}, InvalidRequest, "image"),
        (
            {"mode": "interp", "image": "a landscape", "end_image": "no image"},
            InvalidRequest,
            "end_image",
        ),
        ({"mode": "v2v", "video": "no image"}, InvalidRequest, "video"),
        ({"mode": "v2v", "video": "a landscape"}, InvalidRequest, "video"),
        ({"mode": "v2v", "video": "cut off"}, InvalidRequest, "video"),
        ({"mode": "extend", "video": "cut off"}, InvalidRequest, "video"),
        ({"image": "a landscape", "num_frames": 15_000}, InvalidRequest, "num_frames"),
        ({"image": "a landscape", "duration_s": 1000.0}, InvalidRequest, "duration_s"),
        ({"image": "a landscape", "num_cond_frames": 5}, UnsupportedCapability, "num_cond_frames"),
    ],
)
async def test_bad_requests_name_the_field(
    studio: Studio, fields: dict[str, Any], error: type[AppError], param: str
) -> None:
    files = {
        "no image": await stored(studio.blobs, b"\x89PNG\r\n\x1a\nbroken", mime="image/png"),
        "a landscape": await studio.image(landscape(64, 48)),
        "cut off": await stored(studio.blobs, _cut(studio.folder), mime="video/mp4"),
    }
    told = {
        name: files.get(value, value) if isinstance(value, str) else value
        for name, value in fields.items()
    }
    with pytest.raises(error) as caught:
        await studio.made(**told)
    assert caught.value.param == param
    assert str(studio.folder) not in caught.value.message


def _cut(folder: Path) -> bytes:
    """Half of a video whose index comes first."""
    from deployments.video.video_encoding import VideoWriter

    with VideoWriter(folder / "whole.mp4", Size(width=64, height=48), fps=10) as writer:
        for seed in range(20):
            writer.write(landscape(64, 48, seed=seed))
        writer.finish()
    data = (folder / "whole.mp4").read_bytes()
    return data[: len(data) // 2]


async def test_a_video_that_is_too_long(studio: Studio, tmp_path: Path) -> None:
    small = [np.full((16, 16, 3), 9, np.uint8)] * 11
    path = write_video(tmp_path / "slow.mp4", small, fps=1)
    engine = studio.engine
    engine.video_facts = engine.video_facts.model_copy(update={"max_frames": 240})
    with pytest.raises(PayloadTooLarge) as caught:
        await studio.made(mode="v2v", video=await studio.video(path))
    assert caught.value.param == "video"


async def test_stopping_leaves_nothing_behind(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    image = await studio.image(landscape(240, 180))
    blobs = set((tmp_path / "blobs").rglob("*"))
    request = GenerateVideo(
        model="camera-moves", mode="i2v", seed=1, image=image, num_frames=14_000, size=SIZE
    )
    events = studio.engine.generate_video(request)
    async for event in events:
        if isinstance(event, Progress) and event.current == 3:
            break
    assert list(folder.iterdir())
    await events.aclose()
    assert list(folder.iterdir()) == []
    assert set((tmp_path / "blobs").rglob("*")) == blobs
    # The engine goes on working.
    made, _, _ = await studio.made(image=image, num_frames=2)
    assert made.num_frames == 2
