"""Videos cut to the frame: which frames are seen, when, what is heard, and how much is encoded.

Every frame of the source says its number in its colours.
"""

import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from deployments.video.av_media import AvMedia
from deployments.video.h264_pieces import stored_parameters, with_lengths
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.processing_steps import ScaleStep
from serve_app.core.message import Progress
from serve_app.core.options.video import AvOptions
from serve_app.core.video.video_processing import (
    ConvertVideoStep,
    ProcessedVideo,
    ProcessVideo,
    TrimStep,
)
from tests.material import content as read
from tests.material import decoded
from tests.videos import ffmpeg

SOURCE = ("-f", "lavfi", "-i")
FPS, SECONDS, GROUP = 25, 8, 50
BARS = "geq=lum='if(gt(mod(floor(N/pow(2,floor(X/16))),2),0),235,16)':cb=128:cr=128"
NUMBERED = f"color=black:s=128x96:r={FPS}:d={SECONDS},{BARS}"
"""Eight bars: the bits of the frame's number, the lowest at the left."""
PIPS = f"sine=f=880:r=48000:d={SECONDS},volume='if(lt(mod(t,1),0.1),4,0)':eval=frame"
H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", GROUP, "-sc_threshold", 0)
KINDS: dict[str, tuple[Any, ...]] = {
    "plain": (*H264, "-bf", 0),
    "pyramid": (*H264, "-bf", 3, "-b_strategy", 0, "-x264-params", "b-pyramid=normal:ref=4"),
    "open": (*H264, "-bf", 3, "-b_strategy", 0, "-x264-params", "open-gop=1"),
}


@pytest.fixture
async def media(tmp_path: Path) -> AsyncGenerator[AvMedia]:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    engine = AvMedia(AvOptions(encoder="libx264"), Model(id="media"), path=None, blobs=blobs)
    yield engine
    await engine.close()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By kind and container; the second has keys every two seconds and a pip every second."""
    folder = tmp_path_factory.mktemp("numbered")
    made = {}
    for kind, options in KINDS.items():
        for suffix in ("mp4", "mkv"):
            path = folder / f"{kind}.{suffix}"
            ffmpeg(*SOURCE, NUMBERED, *SOURCE, PIPS, *options, "-c:a", "aac", path)
            made[f"{kind}.{suffix}"] = path
    vp9 = folder / "vp9.webm"
    quick = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8, "-g", GROUP)
    ffmpeg(*SOURCE, NUMBERED, *SOURCE, PIPS, *quick, "-c:a", "libopus", vp9)
    made["vp9.webm"] = vp9
    return made


async def trimmed(media: AvMedia, path: Path, *steps: Any) -> tuple[ProcessedVideo, bytes]:
    blob = await media.blobs.write_file(path)
    request = ProcessVideo(video=blob, steps=steps)
    *events, result = [event async for event in media.process_video(request)]
    assert all(isinstance(event, Progress) for event in events)
    assert isinstance(result, ProcessedVideo)
    return result, await read(media.blobs, result.video)


def numbers(data: bytes) -> list[int]:
    """What every frame says."""
    with av.open(io.BytesIO(data)) as container:
        found = []
        for frame in container.decode(video=0):
            grey = frame.to_ndarray(format="gray")
            step = grey.shape[1] // 8
            bars = [grey[:, step * i + step // 2].mean() > 128 for i in range(8)]
            found.append(sum(1 << i for i, bar in enumerate(bars) if bar))
        return found


def times(data: bytes) -> list[float]:
    with av.open(io.BytesIO(data)) as container:
        begin = (container.start_time or 0) / av.time_base
        found = [frame.time or 0.0 for frame in container.decode(video=0)]
        return [time - min(begin, found[0]) for time in found]


def pips(data: bytes) -> list[float]:
    """The seconds at which a pip begins."""
    heard = decoded(data)
    hop = heard.sample_rate // 200
    loud = np.abs(heard.samples[: len(heard.samples) // hop * hop]).reshape(-1, hop).max(axis=1)
    is_loud = loud > 0.1
    begins = np.flatnonzero(is_loud & ~np.r_[False, is_loud[:-1]])
    kept: list[float] = []
    for second in begins / 200:
        if not kept or second - kept[-1] > 0.5:
            kept.append(float(second))
    return kept


CUTS = [
    (0.0, 8.0, 0, 200),
    (0.0, 3.0, 0, 75),
    (2.0, 6.0, 50, 150),
    (2.0, None, 50, 200),
    (1.0, 5.0, 25, 125),
    (1.96, 2.04, 49, 51),
    (1.9, 7.0, 47, 175),
    (0.5, 1.5, 12, 38),
    (3.33, 6.66, 83, 167),
    (7.9, 99.0, 197, 200),
]


@pytest.mark.parametrize(("start", "end", "first", "stop"), CUTS)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("kind", ["pyramid", "open"])
async def test_exactly_the_frames_of_a_cut(
    media: AvMedia,
    sources: dict[str, Path],
    kind: str,
    suffix: str,
    start: float,
    end: float | None,
    first: int,
    stop: int,
) -> None:
    steps = (TrimStep(start_s=start, end_s=end), ConvertVideoStep(format=suffix))  # type: ignore[arg-type]
    result, data = await trimmed(media, sources[f"{kind}.{suffix}"], *steps)
    assert numbers(data) == list(range(first, stop))
    expected = np.arange(stop - first) / FPS
    assert np.allclose(times(data), expected, atol=0.03), times(data)[:5]
    assert result.duration_s == pytest.approx((stop - first) / FPS, abs=0.1)
    pip_s = [s - first / FPS for s in range(9) if first / FPS + 0.2 < s < stop / FPS - 0.2]
    found = [at for at in pips(data) if 0.2 < at < (stop - first) / FPS - 0.2]
    assert np.allclose(found, pip_s, atol=0.04), (found, pip_s)


@pytest.mark.parametrize(
    ("kind", "start", "end", "encoded"),
    [
        ("plain", 2.0, 6.0, "nothing"),
        ("plain", 2.0, 5.0, "nothing"),
        ("plain", 1.0, 5.0, "edges"),
        ("pyramid", 2.0, 6.0, "nothing"),
        ("pyramid", 2.0, 5.5, "edges"),
        ("pyramid", 1.0, None, "edges"),
        ("pyramid", 0.5, 1.5, "all"),
        ("vp9", 2.0, 6.0, "nothing"),
        ("vp9", 1.0, 6.0, "all"),
    ],
)
async def test_how_much_is_encoded(
    media: AvMedia, sources: dict[str, Path], kind: str, start: float, end: float, encoded: str
) -> None:
    path = sources["vp9.webm" if kind == "vp9" else f"{kind}.mp4"]
    result, data = await trimmed(media, path, TrimStep(start_s=start, end_s=end))
    assert result.encoded == encoded
    first, stop = round(start * FPS), round((end or SECONDS) * FPS)
    assert numbers(data) == list(range(first, stop))
    packets = stored_packets(path.read_bytes())
    same = [packet for packet in stored_packets(data) if packet in packets]
    # A few that say only "as before" are always the same.
    assert (len(same) > 5) == (encoded != "all")
    if encoded == "nothing":
        assert len(same) == stop - first


def stored_packets(data: bytes) -> list[bytes]:
    with av.open(io.BytesIO(data)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("at", [0.3, 1.2, 2.5])
async def test_a_player_may_seek_into_any_part(
    media: AvMedia, sources: dict[str, Path], at: float, tmp_path: Path
) -> None:
    _, data = await trimmed(media, sources["pyramid.mp4"], TrimStep(start_s=1.0, end_s=5.5))
    with av.open(io.BytesIO(data)) as container:
        container.seek(int(at * av.time_base))
        seen = [frame for frame in container.decode(video=0) if (frame.time or 0) >= at - 0.001]
        grey = seen[0].to_ndarray(format="gray")
        bars = [grey[:, 16 * i + 8].mean() > 128 for i in range(8)]
        number = sum(1 << i for i, bar in enumerate(bars) if bar)
    assert number == pytest.approx(25 + at * FPS, abs=1)
    # Another program reads it without a complaint, too.
    path = tmp_path / "cut.mp4"
    path.write_bytes(data)
    ffmpeg("-xerror", "-i", path, "-f", "null", "-")


async def test_cuts_in_cuts_and_other_steps(media: AvMedia, sources: dict[str, Path]) -> None:
    result, data = await trimmed(
        media,
        sources["pyramid.mp4"],
        TrimStep(start_s=1.0, end_s=7.0),
        ScaleStep(width=64),
        TrimStep(start_s=0.48, end_s=2.0),
    )
    assert (result.encoded, result.size.width) == ("all", 64)
    assert numbers(data) == list(range(37, 75))
    assert result.duration_s == pytest.approx(1.52, abs=0.05)


@pytest.mark.parametrize("format", ["webm", "avi", "wmv", "mpeg", "ogg"])
async def test_cuts_of_other_formats(media: AvMedia, sources: dict[str, Path], format: Any) -> None:
    steps = (TrimStep(start_s=1.0, end_s=3.0), ConvertVideoStep(format=format))
    result, data = await trimmed(media, sources["pyramid.mp4"], *steps)
    seen = numbers(data)
    assert abs(len(seen) - 50) <= 1
    assert set(seen) <= set(range(24, 76))
    assert result.duration_s == pytest.approx(2.0, abs=0.15)


async def test_a_frame_that_lasts_long_is_shown_from_the_cut_on(
    media: AvMedia, tmp_path: Path
) -> None:
    """Slides: four images of two seconds each."""
    path = tmp_path / "slides.mp4"
    slides = f"color=black:s=128x96:r=1/2:d=8,{BARS}"
    ffmpeg(*SOURCE, slides, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", 2, "-bf", 0, path)
    for steps in ((), (ScaleStep(width=64),)):
        result, data = await trimmed(media, path, TrimStep(start_s=1.0, end_s=5.0), *steps)
        assert numbers(data) == [0, 1, 2]
        assert np.allclose(times(data), [0, 1, 3], atol=0.01)
        assert result.duration_s == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("start", [8.0, 10.0, 10.0**15])
async def test_a_cut_behind_the_end(media: AvMedia, sources: dict[str, Path], start: float) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await trimmed(media, sources["plain.mp4"], ScaleStep(width=64), TrimStep(start_s=start))
    assert raised.value.param == "steps[1]"
    with pytest.raises(InvalidRequest) as raised:
        await trimmed(media, sources["plain.mp4"], TrimStep(end_s=2.0), TrimStep(start_s=start / 4))
    assert raised.value.param == "steps[1]"


def test_parameters_as_they_are_stored(sources: dict[str, Path]) -> None:
    with av.open(str(sources["plain.mp4"])) as container:
        found = stored_parameters(container.streams.video[0].codec_context.extradata)
    assert found is not None
    assert (found.length_bytes, found.ids, found.free_id) == (4, {0}, 31)
    assert stored_parameters(b"\0\0\0\1\x67") is None
    assert stored_parameters(None) is None
    assert with_lengths(b"\0\0\0\1abc\0\0\1de", 4) == b"\0\0\0\3abc\0\0\0\2de"
    assert with_lengths(b"\0\0\1abc", 2) == b"\0\3abc"


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("steps", [(), (ScaleStep(width=64),)], ids=["cut", "scaled"])
@pytest.mark.parametrize("image_late_s", [0, 2])
async def test_a_cut_is_of_the_clock_of_the_file(
    media: AvMedia, tmp_path: Path, suffix: str, steps: tuple[Any, ...], image_late_s: int
) -> None:
    """The image of a part of a broadcast, whose clock is at 100 s, begins late."""
    path = tmp_path / f"late.{suffix}"
    late = ("-itsoffset", image_late_s, *SOURCE, NUMBERED, *SOURCE, PIPS)
    ffmpeg(*late, *H264, "-bf", 2, "-c:a", "aac", "-output_ts_offset", 100, path)
    _, data = await trimmed(media, path, TrimStep(start_s=1.5, end_s=5.0), *steps)
    seen = numbers(data)
    first = 0 if image_late_s else 37
    # The audio begins a little before, with what its decoder has to have heard.
    last = round((5.0 - image_late_s) * FPS) - 1
    assert abs(seen[0] - first) <= 2
    assert abs(seen[-1] - last) <= 2
    (at, *_) = [at for at in pips(data) if at > 0.2]
    assert at == pytest.approx(0.5, abs=0.1)
    with av.open(io.BytesIO(data)) as container:
        begin_s = next(container.decode(video=0)).time
    assert begin_s == pytest.approx(0.5 if image_late_s else 0.0, abs=0.1)
