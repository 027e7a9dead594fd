"""Faces found, swapped and cut out, on drawn faces whose places are known."""

import asyncio
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

from deployments.image.face_finding import CascadeFinder
from deployments.image.opencv_faces import OpencvFaces
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.image.face_swap import ExtractImages, SwapFaces, SwappedFaces
from serve_app.core.message import Progress
from serve_app.core.options.image import OpencvFacesOptions
from tests.material import content, decoded, stored, tone
from tests.notices import texts_of
from tests.scenes import BACKDROP, FAIR, png_of, portrait

FACES = ((20, 20, 180), (300, 60, 120))
SIZE = (480, 240)
FRAMES_PER_S = 10


def source_face() -> Image.Image:
    """A fair face with green lips, which no other one has."""
    image = portrait((240, 240), (20, 20, 200), skin=FAIR)
    ImageDraw.Draw(image).ellipse((98, 163, 142, 177), fill=(20, 170, 40))
    return image


def green(pixels: Any) -> int:
    """How many pixels are clearly green."""
    red, green, blue = (np.asarray(pixels)[..., channel].astype(int) for channel in range(3))
    return int(((green > red + 25) & (green > blue + 25)).sum())


def video_of(
    path: Path, frames: list[Image.Image], *, codec: str = "libx264", audio: bytes = b""
) -> bytes:
    """10 frames per second; `audio` is 16 kHz PCM."""
    with av.open(str(path), "w") as video:
        still: Any = video.add_stream(codec, rate=FRAMES_PER_S)
        still.width, still.height = frames[0].size
        still.pix_fmt = "yuv420p"
        track: Any = video.add_stream("aac", rate=16_000, layout="mono") if audio else None
        for number, image in enumerate(frames):
            frame: Any = av.VideoFrame.from_image(image)
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_S)
            video.mux(still.encode(frame))
        video.mux(still.encode(None))
        if audio:
            heard: Any = av.AudioFrame.from_ndarray(
                np.frombuffer(audio, "<i2").reshape(1, -1), format="s16", layout="mono"
            )
            heard.sample_rate, heard.pts, heard.time_base = 16_000, 0, Fraction(1, 16_000)
            video.mux(track.encode(heard))
            video.mux(track.encode(None))
    return path.read_bytes()


def seen(data: bytes) -> tuple[list[Any], Any]:
    """The frames of a video in RGB, and its image's codec context."""
    with av.open(io.BytesIO(data)) as video:
        stream = video.streams.video[0]
        frames: Any = video.decode(stream)
        return [frame.to_ndarray(format="rgb24") for frame in frames], stream.codec_context


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def engine(blobs: FsspecBlobStore) -> OpencvFaces:
    return OpencvFaces(OpencvFacesOptions(), Model(id="opencv"), path=None, blobs=blobs)


async def swapped(
    engine: OpencvFaces,
    blobs: FsspecBlobStore,
    target: bytes,
    *,
    source: bytes | None = None,
    **fields: Any,
) -> tuple[SwappedFaces, bytes, list[Progress]]:
    face = png_of(source_face()) if source is None else source
    request = SwapFaces(
        model="opencv",
        source_face=await stored(blobs, face, mime="image/png"),
        target=await stored(blobs, target, mime=fields.pop("mime", "image/png")),
        **({"target_type": "image"} | fields),
    )
    events = [event async for event in engine.swap_faces(request)]
    result = events[-1]
    assert isinstance(result, SwappedFaces)
    progress = [event for event in events if isinstance(event, Progress)]
    assert len(progress) == len(events) - 1
    return result, await content(blobs, result.media), progress


@pytest.mark.parametrize("side", [50, 120, 400])
@pytest.mark.parametrize("skin", [FAIR, (214, 170, 140), (120, 80, 60)])
def test_faces_of_every_size_and_colour_are_found(side: int, skin: tuple[int, int, int]) -> None:
    image = portrait((3 * side, 2 * side), (side, side // 2, side), skin=skin)
    (face,) = CascadeFinder()(np.asarray(image))
    left, top, right, bottom = face.box
    assert right - left == bottom - top
    assert abs((left + right) / 2 - 1.5 * side) < 0.08 * side
    assert abs((top + bottom) / 2 - 1.05 * side) < 0.1 * side
    for (x, y), wanted in zip(face.eyes, (1.37, 1.63), strict=True):
        assert abs(x - wanted * side) < 0.08 * side
        assert abs(y - 0.945 * side) < 0.1 * side


def test_the_largest_face_is_first() -> None:
    faces = CascadeFinder()(np.asarray(portrait(SIZE, *FACES)))
    assert len(faces) == 2
    assert faces[0].side > faces[1].side


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (23, 23), (400, 300)])
def test_where_there_is_no_face_none_is_found(size: tuple[int, int]) -> None:
    assert CascadeFinder()(np.asarray(Image.new("RGB", size, BACKDROP))) == []


async def test_every_face_is_swapped_and_nothing_else_is_touched(
    engine: OpencvFaces, blobs: FsspecBlobStore
) -> None:
    target = portrait(SIZE, *FACES)
    result, data, _ = await swapped(engine, blobs, png_of(target))
    made = Image.open(io.BytesIO(data))
    assert (made.format, made.mode, made.size) == ("PNG", "RGB", SIZE)
    assert (result.faces_swapped, result.width, result.height) == (2, *SIZE)
    before, after = np.asarray(target), np.asarray(made)
    for left, top, side in FACES:
        part = (slice(top, top + side), slice(left, left + side))
        assert green(before[part]) == 0
        assert green(after[part]) > 0.002 * side**2
    changed = (before != after).any(2)
    for left, top, side in FACES:
        changed[top : top + side, left : left + side] = False
    assert not changed.any()
    assert "OpenCV" in texts_of(result.warnings)[-1]


async def test_the_colour_is_that_of_the_target(
    engine: OpencvFaces, blobs: FsspecBlobStore
) -> None:
    target = portrait(SIZE, FACES[0])
    _, data, _ = await swapped(engine, blobs, png_of(target))
    forehead = (slice(75, 84), slice(100, 120))
    before, after = np.asarray(target)[forehead], np.asarray(Image.open(io.BytesIO(data)))[forehead]
    assert np.abs(before.mean((0, 1)) - after.mean((0, 1))).max() < 12


async def test_only_the_largest_face(engine: OpencvFaces, blobs: FsspecBlobStore) -> None:
    target = portrait(SIZE, *FACES)
    result, data, _ = await swapped(engine, blobs, png_of(target), faces="largest")
    after = np.asarray(Image.open(io.BytesIO(data)))
    assert result.faces_swapped == 1
    assert (after[:, 280:] == np.asarray(target)[:, 280:]).all()
    assert green(after) > 0


async def test_a_face_that_fills_the_image(engine: OpencvFaces, blobs: FsspecBlobStore) -> None:
    result, data, _ = await swapped(engine, blobs, png_of(portrait((200, 200), (0, 0, 200))))
    assert result.faces_swapped == 1
    assert green(Image.open(io.BytesIO(data))) > 0


async def test_transparency_stays(engine: OpencvFaces, blobs: FsspecBlobStore) -> None:
    target = portrait(SIZE, FACES[0]).convert("RGBA")
    alpha = Image.linear_gradient("L").resize(SIZE)
    target.putalpha(alpha)
    _, data, _ = await swapped(engine, blobs, png_of(target))
    assert np.asarray(Image.open(io.BytesIO(data)))[..., 3].tolist() == np.asarray(alpha).tolist()


async def test_a_target_without_a_face_comes_back_as_it_is(
    engine: OpencvFaces, blobs: FsspecBlobStore
) -> None:
    data = png_of(Image.new("RGB", (60, 40), "red"))
    result, same, _ = await swapped(engine, blobs, data)
    assert (same, result.faces_swapped) == (data, 0)
    assert texts_of(result.warnings) == ("target: no face was found; it is returned unchanged",)


async def test_a_video_keeps_its_frames_its_audio_and_its_length(
    engine: OpencvFaces, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    frames = [portrait((320, 240), (40 + 4 * number, 30, 160)) for number in range(12)]
    video = video_of(tmp_path / "video.mp4", frames, audio=tone(1.2))
    result, data, progress = await swapped(
        engine, blobs, video, target_type="video", mime="video/mp4"
    )
    shown, context = seen(data)
    assert len(shown) == 12
    assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    assert (result.width, result.height) == (320, 240)
    assert result.duration_s == pytest.approx(1.2, abs=0.02)
    assert result.faces_swapped == 1
    assert all(green(frame) > 30 for frame in shown)
    assert data.find(b"moov") < data.find(b"mdat")
    before, after = decoded(video), decoded(data)
    assert (after.codec, after.sample_rate) == ("aac", before.sample_rate)
    assert after.duration_s == pytest.approx(before.duration_s, abs=0.07)
    assert after.pitch_hz() == pytest.approx(440, abs=2)
    assert [event.current for event in progress] == [*range(1, 13)]
    assert progress[-1].total == 12


async def test_a_video_of_another_kind_without_audio(
    engine: OpencvFaces, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    frames = [portrait((322, 242), (60, 40, 160))] * 3 + [
        Image.new("RGB", (322, 242), BACKDROP)
    ] * 2
    video = video_of(tmp_path / "video.mkv", frames, codec="mpeg4")
    result, data, _ = await swapped(
        engine, blobs, video, target_type="video", mime="video/x-matroska"
    )
    shown, context = seen(data)
    assert (len(shown), context.name, result.media.mime) == (5, "h264", "video/mp4")
    assert [green(frame) > 30 for frame in shown] == [True] * 3 + [False] * 2


async def test_a_video_without_a_face_comes_back_as_it_is(
    engine: OpencvFaces, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    video = video_of(tmp_path / "video.mp4", [Image.new("RGB", (64, 48), BACKDROP)] * 3)
    result, same, _ = await swapped(engine, blobs, video, target_type="video", mime="video/mp4")
    assert (same, result.faces_swapped) == (video, 0)
    assert texts_of(result.warnings)[-1].startswith("target: no face was found")


async def test_closing_stops_between_frames(
    engine: OpencvFaces, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    video = video_of(tmp_path / "video.mp4", [portrait((160, 120), (20, 10, 100))] * 300)
    request = SwapFaces(
        model="opencv",
        source_face=await stored(blobs, png_of(source_face()), mime="image/png"),
        target=await stored(blobs, video, mime="video/mp4"),
        target_type="video",
    )
    events = engine.swap_faces(request)
    first = await anext(events)
    assert isinstance(first, Progress)
    await asyncio.wait_for(events.aclose(), timeout=20)
    with pytest.raises(StopAsyncIteration):
        await anext(events)


@pytest.mark.parametrize(
    "source",
    [
        png_of(Image.new("RGB", (1, 1))),
        png_of(Image.new("RGB", (300, 300), BACKDROP)),
        b"",
        b"\x89PNG\r\n\x1a\n" + bytes(60),
        png_of(source_face())[:2000],
    ],
)
async def test_sources_without_a_face(
    engine: OpencvFaces, blobs: FsspecBlobStore, source: bytes
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await swapped(engine, blobs, png_of(portrait(SIZE, *FACES)), source=source)
    assert caught.value.param == "source_face"


async def test_sources_of_every_kind(engine: OpencvFaces, blobs: FsspecBlobStore) -> None:
    target = png_of(portrait(SIZE, FACES[0]))
    deep = Image.fromarray(np.uint16(257) * np.asarray(source_face().convert("L")))
    for image, form in ((source_face().convert("CMYK"), "TIFF"), (deep, "TIFF")):
        kept = io.BytesIO()
        image.save(kept, form)
        result, _, _ = await swapped(engine, blobs, target, source=kept.getvalue())
        assert result.faces_swapped == 1
    moving = io.BytesIO()
    source_face().save(moving, "GIF", save_all=True, append_images=[source_face().rotate(90)])
    result, _, _ = await swapped(engine, blobs, target, source=moving.getvalue())
    assert texts_of(result.warnings)[0] == "source_face: the first of 2 frames was used"


async def test_targets_that_cannot_be_read(
    engine: OpencvFaces, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    video = video_of(tmp_path / "video.mp4", [portrait((160, 120), (20, 10, 100))] * 20)
    for data, kind in (
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "image"),
        (video, "image"),
        (video[: len(video) // 2], "video"),
        (png_of(portrait(SIZE, *FACES)), "video"),
        (b"", "video"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await swapped(engine, blobs, data, target_type=kind)
        assert caught.value.param == "target", kind
    with pytest.raises(PayloadTooLarge) as too_large:
        await swapped(engine, blobs, png_of(Image.new("1", (10_000, 10_000))))
    assert too_large.value.param == "target"
    result, _, _ = await swapped(engine, blobs, video, target_type="video", mime="video/mp4")
    assert result.faces_swapped == 1


async def extracted(
    engine: OpencvFaces,
    blobs: FsspecBlobStore,
    *,
    images: tuple[bytes, ...] = (),
    videos: tuple[bytes, ...] = (),
    what: str = "faces",
    count: int = 5,
) -> list[Image.Image]:
    request = ExtractImages.model_validate(
        {
            "model": "opencv",
            "what": what,
            "images": tuple([await stored(blobs, data, mime="image/png") for data in images]),
            "videos": tuple([await stored(blobs, data, mime="video/mp4") for data in videos]),
            "count": count,
        }
    )
    made = await engine.extract_images(request)
    assert all(blob.mime == "image/png" for blob in made.images)
    return [Image.open(io.BytesIO(await content(blobs, blob))) for blob in made.images]


async def test_the_largest_face_is_cut_out(engine: OpencvFaces, blobs: FsspecBlobStore) -> None:
    (face,) = await extracted(engine, blobs, images=(png_of(portrait((900, 600), *FACES)),))
    assert 150 < face.width < 320
    (found,) = CascadeFinder()(np.asarray(face))
    assert found.side > 0.4 * face.width


async def test_an_image_without_a_face_is_taken_whole(
    engine: OpencvFaces, blobs: FsspecBlobStore
) -> None:
    (whole,) = await extracted(engine, blobs, images=(png_of(Image.new("RGB", (3000, 1500))),))
    assert whole.size == (1024, 512)


async def test_of_a_video_the_frames_with_a_face_are_taken(
    engine: OpencvFaces, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    empty, shown = Image.new("RGB", (320, 240), BACKDROP), portrait((320, 240), (60, 40, 160))
    video = video_of(tmp_path / "video.mp4", [empty] * 20 + [shown] * 20)
    faces = await extracted(engine, blobs, videos=(video,), count=4)
    assert len(faces) == 2
    assert all(face.width < 300 for face in faces)
    frames = await extracted(engine, blobs, videos=(video,), count=4, what="frames")
    assert [frame.size for frame in frames] == [(320, 240)] * 4


async def test_images_come_first_and_there_is_a_limit(
    engine: OpencvFaces, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    video = video_of(tmp_path / "video.mp4", [Image.new("RGB", (64, 48), "red")] * 10)
    images = tuple(png_of(Image.new("RGB", (size, 20))) for size in (10, 20, 30))
    taken = await extracted(engine, blobs, images=images, videos=(video, video), count=4)
    assert [image.width for image in taken] == [10, 20, 30, 64]
    taken = await extracted(engine, blobs, images=images, count=2)
    assert [image.width for image in taken] == [10, 20]


async def test_media_that_cannot_be_read_are_named(
    engine: OpencvFaces, blobs: FsspecBlobStore
) -> None:
    good, bad = png_of(Image.new("RGB", (9, 9))), b"\x89PNG\r\n\x1a\n" + bytes(60)
    with pytest.raises(InvalidRequest) as caught:
        await extracted(engine, blobs, images=(good, bad))
    assert caught.value.param == "images[1]"
    with pytest.raises(InvalidRequest) as caught:
        await extracted(engine, blobs, videos=(b"\0\0\0\x18ftypisom" + bytes(60),))
    assert caught.value.param == "videos[0]"
