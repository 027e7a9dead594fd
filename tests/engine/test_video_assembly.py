"""Scenes cut into a video: what is seen and heard when."""

import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from deployments.video.av_media import AvMedia
from deployments.video.video_encoding import VideoWriter
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import Size
from serve_app.core.media import Blob
from serve_app.core.options.video import AvOptions
from serve_app.core.video.assembly import AssembledVideo, AssembleVideo, VideoScene
from tests.images import png
from tests.material import content, stored, tone, wav

SIZE = Size(width=64, height=48)
FPS = 10.0
RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def media(blobs: FsspecBlobStore) -> AsyncGenerator[AvMedia]:
    engine = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    yield engine
    await engine.close()


async def still(blobs: FsspecBlobStore, color: str, size: tuple[int, int] = (200, 90)) -> Blob:
    return await stored(blobs, png(color, size), mime="image/png")


async def clip(blobs: FsspecBlobStore, folder: Path, color: tuple[int, int, int], s: float) -> Blob:
    path = folder / "clip.mp4"
    frame = np.full((48, 64, 3), color, dtype=np.uint8)
    with VideoWriter(path, SIZE, fps=5) as video:
        for _ in range(round(5 * s)):
            video.write(frame)
        video.finish()
    return await blobs.write_file(path, mime="video/mp4")


def seen(data: bytes) -> list[Any]:
    """The middle pixel of every frame."""
    with av.open(io.BytesIO(data)) as container:
        stream: Any = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        return [
            frame.to_ndarray(format="rgb24")[24, 32].astype(int)
            for frame in container.decode(video=0)
        ]


def loudness(data: bytes, at_s: float) -> float:
    """Of a tenth of a second from there."""
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        blocks = [
            block.to_ndarray().reshape(-1)
            for frame in container.decode(audio=0)
            for block in resampler.resample(frame)
        ]
    samples = np.concatenate(blocks)[int(at_s * 16_000) : int((at_s + 0.1) * 16_000)]
    return float(np.abs(samples.astype(float)).mean())


async def assembled(media: AvMedia, *scenes: VideoScene) -> AssembledVideo:
    return await media.assemble_video(AssembleVideo(scenes=scenes, size=SIZE, fps=FPS))


async def test_scenes_last_as_long_as_their_clips_and_lines(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    line = await stored(blobs, wav(tone(2.6)))
    video = await assembled(
        media,
        VideoScene(image=await still(blobs, "red")),
        VideoScene(image=await still(blobs, "red"), clip=await clip(blobs, tmp_path, GREEN, 1.0)),
        VideoScene(image=await still(blobs, "blue"), narration=line, narration_s=2.6),
        VideoScene(image=await still(blobs, "red"), clip=await clip(blobs, tmp_path, GREEN, 3.0)),
    )
    # At least two seconds; a clip stays on its last frame; a line has a pause after it.
    assert video.starts_s == (0.0, 2.0, 4.0, 7.0)
    assert (video.size, video.fps, video.num_frames, video.duration_s) == (SIZE, FPS, 100, 10.0)
    data = await content(blobs, video.video)
    frames = seen(data)
    assert len(frames) == 100
    for at, color in ((0, RED), (19, RED), (21, GREEN), (39, GREEN), (41, BLUE), (75, GREEN)):
        assert np.abs(frames[at] - color).max() < 30, at
    assert video.audio is not None
    heard = await content(blobs, video.audio)
    for audio in (data, heard):
        assert loudness(audio, 3.5) < 50
        assert loudness(audio, 5.0) > 1000
        assert loudness(audio, 6.8) < 50


async def test_a_video_without_lines_has_no_audio(media: AvMedia, blobs: FsspecBlobStore) -> None:
    video = await assembled(media, VideoScene(image=await still(blobs, "red")))
    assert video.audio is None
    with av.open(io.BytesIO(await content(blobs, video.video))) as container:
        assert not container.streams.audio


async def test_images_cover_the_video_and_are_never_stretched(
    media: AvMedia, blobs: FsspecBlobStore
) -> None:
    image = np.zeros((90, 400, 3), dtype=np.uint8)
    image[:, 140:260] = (0, 0, 255)
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(image).save(target, "PNG")
    video = await assembled(
        media, VideoScene(image=await stored(blobs, target.getvalue(), mime="image/png"))
    )
    with av.open(io.BytesIO(await content(blobs, video.video))) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    # 120 columns around the middle are what 4:3 shows of 90 rows.
    assert np.abs(frame.astype(int) - BLUE).mean() < 20


async def test_a_broken_image_is_named(media: AvMedia, blobs: FsspecBlobStore) -> None:
    broken = await stored(blobs, b"no image", mime="image/png")
    with pytest.raises(InvalidRequest) as caught:
        await assembled(
            media, VideoScene(image=await still(blobs, "red")), VideoScene(image=broken)
        )
    assert caught.value.param == "scenes[1].image"
