"""Videos scaled, cropped, marked and converted by the real engine: what is seen and heard."""

import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import psutil
import pytest

from deployments.video.av_media import AvMedia
from serve_app.blobs.recognition import media_type
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import AppError, InvalidRequest, PayloadTooLarge
from serve_app.core.image.processing_steps import CropStep, Position, ScaleStep, WatermarkStep
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.options.video import AvOptions
from serve_app.core.video.video_processing import (
    VIDEO_FILE_MIME,
    ConvertVideoStep,
    ProcessedVideo,
    ProcessVideo,
    VideoFileFormat,
)
from tests.images import chunks, png
from tests.material import content, decoded
from tests.notices import texts_of
from tests.videos import audio_packets, ffmpeg, look

FORMATS: tuple[VideoFileFormat, ...] = get_args(VideoFileFormat)
CODECS: dict[VideoFileFormat, tuple[str, str]] = {
    "mp4": ("h264", "aac"),
    "mov": ("h264", "aac"),
    "webm": ("vp9", "opus"),
    "mkv": ("h264", "aac"),
    "avi": ("mpeg4", "mp3float"),
    "wmv": ("wmv2", "wmav2"),
    "mpeg": ("mpeg2video", "mp2"),
    "ogg": ("theora", "vorbis"),
}
SOURCE = ("-f", "lavfi", "-i")
QUARTERS = (
    "color=red:s=160x120:r=25:d=2,drawbox=x=80:y=0:w=80:h=60:c=lime:t=fill,"
    "drawbox=x=0:y=60:w=80:h=60:c=blue:t=fill,drawbox=x=80:y=60:w=80:h=60:c=white:t=fill"
)
TONE = "sine=f=440:r=48000:d=2,volume=4"
NOTHING = Blob(sha256="0" * 64, mime="image/png", size=1)
Pixels = np.ndarray[Any, np.dtype[np.int64]]


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def media(blobs: FsspecBlobStore) -> AsyncGenerator[AvMedia]:
    engine = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    yield engine
    await engine.close()


@pytest.fixture(scope="module")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of red, lime, blue and white, from the top left on, and a tone."""
    path = tmp_path_factory.mktemp("quarters") / "quarters.mp4"
    ffmpeg(*SOURCE, QUARTERS, *SOURCE, TONE, "-c:v", "libx264", "-pix_fmt", "yuv420p", path)
    return path


async def processed(
    media: AvMedia, path: Path, *steps: Any, marks: tuple[bytes, ...] = (), **fields: Any
) -> tuple[ProcessedVideo, bytes]:
    """The result and its file; `marks` replace the blobs of the watermark steps."""
    waiting = [await media.blobs.write(chunks(mark)) for mark in marks]
    given = tuple(
        step.model_copy(update={"image": waiting.pop(0)})
        if isinstance(step, WatermarkStep)
        else step
        for step in steps
    )
    blob = await media.blobs.write_file(path)
    request = ProcessVideo(video=blob, steps=given, **fields)
    *events, result = [event async for event in media.process_video(request)]
    assert all(isinstance(event, Progress) for event in events)
    assert isinstance(result, ProcessedVideo)
    return result, await content(media.blobs, result.video)


def frames(data: bytes) -> list[Pixels]:
    with av.open(io.BytesIO(data)) as container:
        return [f.to_ndarray(format="rgb24").astype(np.int64) for f in container.decode(video=0)]


def is_near(pixel: Any, colour: tuple[int, int, int], *, by: int = 40) -> bool:
    return bool(np.abs(np.asarray(pixel) - colour).max() < by)


@pytest.mark.parametrize("format", FORMATS)
async def test_every_format(
    media: AvMedia, quarters: Path, tmp_path: Path, format: VideoFileFormat
) -> None:
    steps = (ScaleStep(width=80), ConvertVideoStep(format=format))
    result, data = await processed(media, quarters, *steps)
    assert (result.format, result.video.mime) == (format, VIDEO_FILE_MIME[format])
    assert (result.encoded, result.size.width, result.size.height) == ("all", 80, 60)
    with av.open(io.BytesIO(data)) as container:
        image, audio = container.streams.video[0], container.streams.audio[0]
        assert (image.codec_context.name, audio.codec_context.name) == CODECS[format]
    seen = frames(data)
    assert abs(len(seen) - 50) <= 1
    assert seen[20].shape == (60, 80, 3)
    assert is_near(seen[20][15, 20], (255, 0, 0))
    assert is_near(seen[20][45, 60], (255, 255, 255))
    assert decoded(data).duration_s == pytest.approx(2.0, abs=0.15)
    assert result.duration_s == pytest.approx(2.0, abs=0.15)
    made = tmp_path / f"made.{format}"
    made.write_bytes(data)
    assert media_type(made, data[:4096]) == VIDEO_FILE_MIME[format]


@pytest.mark.parametrize("format", FORMATS)
async def test_every_format_holds_an_exact_crop(
    media: AvMedia, quarters: Path, format: VideoFileFormat
) -> None:
    crop = CropStep(x=71, y=33, width=35, height=51)
    result, data = await processed(media, quarters, crop, ConvertVideoStep(format=format))
    seen = frames(data)
    assert seen[0].shape == (51, 35, 3)
    assert (result.size.width, result.size.height) == (35, 51)
    # The corner of the four colours is where the crop has left it.
    assert is_near(seen[0][22, 4], (255, 0, 0))
    assert is_near(seen[0][22, 14], (0, 255, 0))
    assert is_near(seen[0][33, 4], (0, 0, 255))
    assert (len(result.warnings) == 1) == (format in ("mp4", "mov", "mkv"))


@pytest.mark.parametrize(
    ("step", "size"),
    [
        (ScaleStep(width=80), (80, 60)),
        (ScaleStep(height=31), (42, 32)),
        (ScaleStep(width=33, height=99), (34, 100)),
        (ScaleStep(width=80, keeps_ratio=False), (80, 120)),
        (ScaleStep(width=1), (2, 2)),
        (ScaleStep(width=80, resampling="nearest"), (80, 60)),
    ],
)
async def test_scaled(
    media: AvMedia, quarters: Path, step: ScaleStep, size: tuple[int, int]
) -> None:
    result, data = await processed(media, quarters, step)
    found = look(data)
    assert (found.size, found.frames, found.is_faststart) == (size, 50, True)
    assert (result.size.width, result.size.height) == size
    # The audio is the source's own.
    assert audio_packets(data) == audio_packets(quarters.read_bytes())


@pytest.mark.parametrize(
    ("position", "box"),
    [
        ("top_left", (10, 10)),
        ("top_right", (130, 10)),
        ("bottom_left", (10, 90)),
        ("bottom_right", (130, 90)),
        ("center", (70, 50)),
    ],
)
async def test_a_watermark_is_seen_in_every_frame(
    media: AvMedia, quarters: Path, position: Position, box: tuple[int, int]
) -> None:
    mark = WatermarkStep(image=NOTHING, position=position, scale=0.5)
    _, data = await processed(media, quarters, mark, marks=(png("black", (40, 40)),))
    seen = frames(data)
    assert len(seen) == 50
    x, y = box
    for frame in seen:
        dark = frame.max(axis=2) < 60
        assert dark[y + 2 : y + 18, x + 2 : x + 18].all()
        assert dark.sum() < 26 * 26


async def test_steps_in_their_order_with_two_marks(media: AvMedia, quarters: Path) -> None:
    result, data = await processed(
        media,
        quarters,
        CropStep(x=80, y=60, width=80, height=60),
        WatermarkStep(image=NOTHING, position="top_left"),
        ScaleStep(width=160),
        WatermarkStep(image=NOTHING, position="bottom_right", opacity=0.5),
        ConvertVideoStep(format="mkv"),
        marks=(png("blue", (20, 20)), png("black", (30, 30))),
    )
    assert (result.size.width, result.size.height) == (160, 120)
    (*_, last) = frames(data)
    assert is_near(last[40, 40], (0, 0, 255))
    assert is_near(last[95, 135], (128, 128, 128), by=20)
    assert is_near(last[60, 100], (255, 255, 255))


async def test_a_watermark_larger_than_the_video(media: AvMedia, quarters: Path) -> None:
    mark = WatermarkStep(image=NOTHING)
    result, data = await processed(media, quarters, mark, marks=(png("black", (640, 240)),))
    (first, *_) = frames(data)
    assert (first.max(axis=2) < 60).sum() == pytest.approx(160 * 60, abs=700)
    assert texts_of(result.warnings) == ("steps[0].image: shrunk to 160x60 to fit into 160x120",)


async def test_only_the_container_changes(media: AvMedia, quarters: Path, tmp_path: Path) -> None:
    result, data = await processed(media, quarters, ConvertVideoStep(format="mkv"))
    assert result.encoded == "nothing"
    source = quarters.read_bytes()
    with av.open(io.BytesIO(data)) as made, av.open(io.BytesIO(source)) as given:
        copied, own = (
            [bytes(packet) for packet in each.demux(video=0) if packet.size]
            for each in (made, given)
        )
    assert copied == own
    assert [content for _, content in audio_packets(data)] == [
        content for _, content in audio_packets(source)
    ]
    back = tmp_path / "back.mkv"
    back.write_bytes(data)
    result, data = await processed(media, back, ConvertVideoStep(format="mp4"))
    assert result.encoded == "nothing"
    assert look(data).frames == 50
    assert result.duration_s == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("format", ["mp4", "mkv"])
async def test_a_video_on_its_side_is_shown_upright(
    media: AvMedia, quarters: Path, tmp_path: Path, format: VideoFileFormat
) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-i", quarters, "-c", "copy", turned)
    result, data = await processed(
        media, turned, CropStep(width=60, height=80), ConvertVideoStep(format=format)
    )
    assert (result.size.width, result.size.height) == (60, 80)
    (first, *_) = frames(data)
    # Turned counter-clockwise, what was at the top right is at the top left.
    assert is_near(first[20, 20], (0, 255, 0))
    result, data = await processed(media, turned, ConvertVideoStep(format=format))
    assert (result.size.width, result.size.height) == (120, 160)
    assert result.encoded == ("nothing" if format == "mp4" else "all")
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
        assert (frame.rotation, frame.width) == ((90, 160) if format == "mp4" else (0, 120))


async def test_frames_keep_their_own_times(media: AvMedia, tmp_path: Path) -> None:
    """Frames that last ever longer, as of a screen recording."""
    path = tmp_path / "slow.mp4"
    slower = "color=white:s=64x64:r=50:d=2,setpts=N*N/50/TB/10"
    ffmpeg(*SOURCE, slower, "-fps_mode", "vfr", "-c:v", "libx264", "-bf", 0, path)
    _, data = await processed(media, path, ScaleStep(width=32))

    def times(data: bytes) -> list[float]:
        with av.open(io.BytesIO(data)) as container:
            return [frame.time or 0.0 for frame in container.decode(video=0)]

    assert np.allclose(times(data), times(path.read_bytes()), atol=0.002)


async def test_the_track_that_is_asked_for(media: AvMedia, tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    tones = [piece for hz in (500, 900) for piece in (*SOURCE, f"sine=f={hz}:d=2,volume=4")]
    ffmpeg(*SOURCE, QUARTERS, *tones, "-map", 0, "-map", 1, "-map", 2, "-c:a", "aac", path)
    result, data = await processed(media, path, ScaleStep(width=80))
    assert decoded(data).pitch_hz() == pytest.approx(500, abs=3)
    assert "track 0" in texts_of(result.warnings)[0]
    result, data = await processed(media, path, ConvertVideoStep(format="mp4"), audio_track=1)
    assert decoded(data).pitch_hz() == pytest.approx(900, abs=3)
    assert result.encoded == "nothing"
    with pytest.raises(InvalidRequest) as raised:
        await processed(media, path, ScaleStep(width=80), audio_track=7)
    assert raised.value.param == "audio_track"


async def test_audio_that_begins_late_stays_late(media: AvMedia, tmp_path: Path) -> None:
    path = tmp_path / "late.mp4"
    late = ("-itsoffset", "0.8", *SOURCE, "sine=f=440:d=1,volume=4")
    ffmpeg(*SOURCE, QUARTERS, *late, "-c:a", "aac", path)
    for steps in ((ConvertVideoStep(format="webm"),), (ScaleStep(width=80),)):
        _, data = await processed(media, path, *steps)
        with av.open(io.BytesIO(data)) as container:
            # A file that says of audio that it begins late, or has silence up to there.
            loud = next(
                (frame.time or 0.0)
                for frame in container.decode(audio=0)
                if np.abs(frame.to_ndarray()).max() > 0.1
            )
        assert loud == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (CropStep(x=100, width=61, height=1), InvalidRequest),
        (CropStep(y=2**40, width=1, height=1), InvalidRequest),
        (ScaleStep(width=2**62), PayloadTooLarge),
        (ScaleStep(width=20_000, height=2), PayloadTooLarge),
    ],
)
async def test_what_cannot_be_done(
    media: AvMedia, quarters: Path, step: Any, kind: type[AppError]
) -> None:
    with pytest.raises(kind) as raised:
        await processed(media, quarters, ScaleStep(width=160), step)
    assert raised.value.param == "steps[1]"


async def test_files_that_are_no_video(media: AvMedia, quarters: Path, tmp_path: Path) -> None:
    whole = quarters.read_bytes()
    # Only a file whose index is at its front tells anything when it is cut off.
    for data in (b"no video", png(), whole[: len(whole) // 2]):
        path = tmp_path / "broken"
        path.write_bytes(data)
        with pytest.raises(InvalidRequest) as raised:
            await processed(media, path, ScaleStep(width=80))
        assert raised.value.param == "video"
    mark = WatermarkStep(image=NOTHING)
    with pytest.raises(InvalidRequest) as raised:
        await processed(media, quarters, mark, marks=(png()[:100],))
    assert raised.value.param == "steps[0].image"


async def test_closing_the_stream_ends_the_child(media: AvMedia, tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    ffmpeg(*SOURCE, "testsrc2=s=640x360:r=25:d=60", "-preset", "ultrafast", path)
    blob = await media.blobs.write_file(path)
    steps = (ScaleStep(width=1920), ConvertVideoStep(format="webm"))
    events = media.process_video(ProcessVideo(video=blob, steps=steps))
    first = await anext(events)
    assert isinstance(first, Progress)
    assert first.current < (first.total or 0) == 1500
    assert [c.name() for c in psutil.Process().children() if "ffmpeg" in c.name()]
    await events.aclose()
    assert not [c.name() for c in psutil.Process().children() if "ffmpeg" in c.name()]


async def test_an_encoder_that_does_not_work_here(blobs: FsspecBlobStore, quarters: Path) -> None:
    options = AvOptions(encoder="h264_videotoolbox")
    media = AvMedia(options, Model(id="media"), path=None, blobs=blobs)
    with pytest.raises(AppError) as raised:
        await processed(media, quarters, ScaleStep(width=320))
    assert (raised.value.status, raised.value.provider) == (503, "av")
    media = AvMedia(AvOptions(encoder="libx264"), Model(id="media"), path=None, blobs=blobs)
    result, _ = await processed(media, quarters, ScaleStep(width=320))
    assert result.encoded == "all"
