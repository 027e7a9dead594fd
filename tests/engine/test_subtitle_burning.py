"""Subtitles in the image: when they are seen, where and in which colours, and what stays."""

import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest

from deployments.video.ass_subtitles import ass
from deployments.video.av_media import AvMedia
from deployments.video.video_encoding import VideoWriter
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.transcription import TranscriptSegment, Word
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import Size
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.options.video import AvOptions
from serve_app.core.video.processing import BurnSubtitles, SubtitledVideo, SubtitleStyle
from tests.material import clip, content, stored, tone
from tests.notices import texts_of
from tests.videos import audio_packets, ffmpeg, look

SIZE = Size(width=321, height=240)
CUE = TranscriptSegment(
    id=0,
    start=1.0,
    end=2.0,
    text="HELLO WORLD",
    words=(Word(word="HELLO", start=1.0, end=1.5), Word(word="WORLD", start=1.5, end=2.0)),
)
Pixels = np.ndarray[Any, np.dtype[np.int64]]


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def media(blobs: FsspecBlobStore) -> AsyncGenerator[AvMedia]:
    engine = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    yield engine
    await engine.close()


@pytest.fixture
async def blue(blobs: FsspecBlobStore, tmp_path: Path) -> Blob:
    """Three seconds of blue, ten frames each, of an odd width."""
    path = tmp_path / "blue.mp4"
    frame = np.full((240, 321, 3), (0, 0, 160), dtype=np.uint8)
    with VideoWriter(path, SIZE, fps=10) as video:
        for _ in range(30):
            video.write(frame)
        video.finish()
    return await blobs.write_file(path, mime="video/mp4")


async def burned(
    media: AvMedia, video: Blob, *cues: TranscriptSegment, style: SubtitleStyle = "default"
) -> tuple[SubtitledVideo, list[Progress]]:
    events = [
        event
        async for event in media.burn_subtitles(BurnSubtitles(video=video, cues=cues, style=style))
    ]
    result = events[-1]
    assert isinstance(result, SubtitledVideo)
    return result, [event for event in events if isinstance(event, Progress)]


def frames(data: bytes) -> list[Pixels]:
    with av.open(io.BytesIO(data)) as container:
        stream: Any = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        return [
            frame.to_ndarray(format="rgb24").astype(np.int64) for frame in container.decode(video=0)
        ]


def bright(frame: Pixels) -> Any:
    """Where red is: white and yellow have it, blue has none."""
    return frame[:, :, 0] > 150


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "ac3"])
async def test_audio_that_mp4_can_hold_is_copied(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path, codec: str
) -> None:
    source = tmp_path / "source.mkv"
    spoken = clip(tmp_path / "spoken.mp4", 2.0, audio=tone(2.0))
    ffmpeg("-i", spoken, "-c:v", "copy", "-c:a", codec, source)
    made, _ = await burned(media, await blobs.write_file(source), CUE)
    kept, given = (
        [packet for _, packet in audio_packets(data)]
        for data in (await content(blobs, made.video), source.read_bytes())
    )
    assert len(kept) > 10
    assert kept == given


async def test_a_cue_is_seen_at_its_time_and_place(
    media: AvMedia, blobs: FsspecBlobStore, blue: Blob
) -> None:
    video, progress = await burned(media, blue, CUE)
    assert video.warnings == ()
    assert progress[-1].current == progress[-1].total == 30
    seen = frames(await content(blobs, video.video))
    assert [bool(bright(frame).any()) for frame in seen] == [10 <= i < 20 for i in range(30)]
    rows, columns = np.nonzero(bright(seen[15]))
    assert rows.min() > 160
    assert rows.max() < 235
    assert abs(columns.mean() - 160) < 8
    # Everything else of the image stays as it was.
    assert np.abs(seen[15][:150] - (0, 0, 160)).max() < 12


async def test_karaoke_colours_words_while_they_are_spoken(
    media: AvMedia, blobs: FsspecBlobStore, blue: Blob
) -> None:
    video, _ = await burned(media, blue, CUE, style="karaoke")
    seen = frames(await content(blobs, video.video))

    def yellow(frame: Pixels, side: slice) -> int:
        part = frame[:, side]
        return int((part[:, :, 0] - part[:, :, 2] > 60).sum())

    left, right = slice(0, 150), slice(175, 321)
    assert yellow(seen[14], left) > 50
    assert yellow(seen[14], right) == 0
    assert yellow(seen[19], right) > 50


async def test_minimal_is_smaller_and_on_a_box(
    media: AvMedia, blobs: FsspecBlobStore, blue: Blob
) -> None:
    heights = {}
    for style in ("default", "minimal"):
        video, _ = await burned(media, blue, CUE, style=style)  # type: ignore[arg-type]
        rows, _columns = np.nonzero(bright(frames(await content(blobs, video.video))[15]))
        heights[style] = rows.max() - rows.min()
    assert heights["minimal"] < heights["default"]


async def test_the_audio_and_the_times_stay(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = clip(tmp_path / "video.mp4", 2.0, audio=tone(2.0)).read_bytes()
    video, _ = await burned(media, await stored(blobs, source, mime="video/mp4"), CUE)
    data = await content(blobs, video.video)

    def times(data: bytes) -> list[float]:
        with av.open(io.BytesIO(data)) as container:
            return [float(frame.time or 0) for frame in container.decode(video=0)]

    def audio(data: bytes) -> list[bytes]:
        with av.open(io.BytesIO(data)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    assert times(data) == pytest.approx(times(source), abs=0.002)
    assert audio(data) == audio(source)


async def test_frames_of_uneven_times_last_as_long_as_before(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = tmp_path / "uneven.mp4"
    images = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=5")
    chosen = ("-vf", "select=not(mod(n\\,3))+lt(n\\,15)", "-fps_mode", "vfr")
    ffmpeg(*images, *chosen, source)
    video, _ = await burned(media, await blobs.write_file(source, mime="video/mp4"), CUE)
    found = look(await content(blobs, video.video))
    assert found.frames == look(source.read_bytes()).frames
    # The last frame begins at 4.8 s.
    assert found.duration_s > 4.8


async def test_frames_keep_times_that_fit_no_rate(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    """Ten frames to a second, some left out, so that the average rate is of other steps."""
    source = tmp_path / "odd.mp4"
    images = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=4")
    chosen = ("-vf", "select='eq(n,0)+eq(n,7)+eq(n,11)+eq(n,12)+eq(n,30)'", "-fps_mode", "vfr")
    ffmpeg(*images, *chosen, "-bf", 0, source)
    video, _ = await burned(media, await blobs.write_file(source, mime="video/mp4"), CUE)
    with av.open(io.BytesIO(await content(blobs, video.video))) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert np.allclose(times, [0, 0.7, 1.1, 1.2, 3.0], atol=0.01)


async def test_what_of_a_video_is_lost_is_said(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = tmp_path / "rich.mkv"
    said = "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    images = ("-f", "lavfi", "-i", "color=0x818181:size=64x48:rate=10:duration=1")
    recordings = ("-f", "lavfi", "-i", "sine=300:duration=1")
    codecs = ("-c:v", "libx265", "-x265-params", said, "-pix_fmt", "yuv420p10le", "-c:a", "aac")
    ffmpeg(*images, *recordings, *recordings, "-map", 0, "-map", 1, "-map", 2, *codecs, source)
    video, _ = await burned(media, await blobs.write_file(source, mime="video/mp4"), CUE)
    assert texts_of(video.warnings) == (
        "audio_track: track 0 (und, default) was used; the file has 0 (und, default), 1 (und)",
        "video: its high dynamic range was converted to standard range",
    )


async def test_text_means_nothing_to_the_library(
    media: AvMedia, blobs: FsspecBlobStore, blue: Blob
) -> None:
    hostile = CUE.model_copy(update={"text": r"{\an8}TOP\N{\p1}m 0 0", "words": ()})
    video, _ = await burned(media, blue, hostile)
    rows, _columns = np.nonzero(bright(frames(await content(blobs, video.video))[15]))
    assert rows.min() > 120


def test_a_line_break_is_one_and_times_are_hundredths() -> None:
    cue = TranscriptSegment(id=0, start=3599.996, end=3661.5, text="a\nb {c}")
    line = ass([cue], "default", SIZE).splitlines()[-1]
    assert line == r"Dialogue: 0,1:00:00.00,1:01:01.50,Default,,0,0,0,,a\Nb \{c\}"


async def test_no_video_is_named(media: AvMedia, blobs: FsspecBlobStore) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await burned(media, await stored(blobs, b"no video", mime="video/mp4"), CUE)
    assert caught.value.param == "video"


async def test_who_leaves_stops_the_child(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    path = tmp_path / "long.mp4"
    with VideoWriter(path, Size(width=1280, height=720), fps=25) as video:
        for number in range(500):
            video.write(np.full((720, 1280, 3), number % 250, dtype=np.uint8))
        video.finish()
    long = await blobs.write_file(path, mime="video/mp4")
    before = set(psutil.Process().children())
    events = media.burn_subtitles(BurnSubtitles(video=long, cues=(CUE,)))
    async for _ in events:
        break
    assert set(psutil.Process().children()) - before
    await events.aclose()
    assert set(psutil.Process().children()) <= before
