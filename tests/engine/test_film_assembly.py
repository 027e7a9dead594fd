"""Scenes cut into a film: what is seen and heard when."""

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
from serve_app.core.film import AssembleFilm, Film, FilmScene
from serve_app.core.images import Size
from serve_app.core.media import Blob
from serve_app.core.options import AvOptions
from tests.material import content, stored, tone, wav
from tests.pictures import png

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
    with VideoWriter(path, SIZE, fps=5) as film:
        for _ in range(round(5 * s)):
            film.write(frame)
        film.finish()
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


async def assembled(media: AvMedia, *scenes: FilmScene) -> Film:
    return await media.assemble_film(AssembleFilm(scenes=scenes, size=SIZE, fps=FPS))


async def test_scenes_last_as_long_as_their_clips_and_lines(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    line = await stored(blobs, wav(tone(2.6)))
    film = await assembled(
        media,
        FilmScene(picture=await still(blobs, "red")),
        FilmScene(picture=await still(blobs, "red"), clip=await clip(blobs, tmp_path, GREEN, 1.0)),
        FilmScene(picture=await still(blobs, "blue"), narration=line, narration_s=2.6),
        FilmScene(picture=await still(blobs, "red"), clip=await clip(blobs, tmp_path, GREEN, 3.0)),
    )
    # At least two seconds; a clip stays on its last frame; a line has a pause after it.
    assert film.starts_s == (0.0, 2.0, 4.0, 7.0)
    assert (film.size, film.fps, film.num_frames, film.duration_s) == (SIZE, FPS, 100, 10.0)
    data = await content(blobs, film.video)
    frames = seen(data)
    assert len(frames) == 100
    for at, color in ((0, RED), (19, RED), (21, GREEN), (39, GREEN), (41, BLUE), (75, GREEN)):
        assert np.abs(frames[at] - color).max() < 30, at
    assert film.sound is not None
    heard = await content(blobs, film.sound)
    for sound in (data, heard):
        assert loudness(sound, 3.5) < 50
        assert loudness(sound, 5.0) > 1000
        assert loudness(sound, 6.8) < 50


async def test_a_film_without_lines_has_no_sound(media: AvMedia, blobs: FsspecBlobStore) -> None:
    film = await assembled(media, FilmScene(picture=await still(blobs, "red")))
    assert film.sound is None
    with av.open(io.BytesIO(await content(blobs, film.video))) as container:
        assert not container.streams.audio


async def test_pictures_cover_the_film_and_are_never_stretched(
    media: AvMedia, blobs: FsspecBlobStore
) -> None:
    picture = np.zeros((90, 400, 3), dtype=np.uint8)
    picture[:, 140:260] = (0, 0, 255)
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(picture).save(target, "PNG")
    film = await assembled(
        media, FilmScene(picture=await stored(blobs, target.getvalue(), mime="image/png"))
    )
    with av.open(io.BytesIO(await content(blobs, film.video))) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    # 120 columns around the middle are what 4:3 shows of 90 rows.
    assert np.abs(frame.astype(int) - BLUE).mean() < 20


async def test_a_broken_picture_is_named(media: AvMedia, blobs: FsspecBlobStore) -> None:
    broken = await stored(blobs, b"no picture", mime="image/png")
    with pytest.raises(InvalidRequest) as caught:
        await assembled(
            media, FilmScene(picture=await still(blobs, "red")), FilmScene(picture=broken)
        )
    assert caught.value.param == "scenes[1].picture"
