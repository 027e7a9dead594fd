"""Any video to upright RGB frames with their times, one by one, in bounded memory.

Everything here blocks. Iterators are closed by who stops early, which closes the file.
"""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from deployments.video.tone_mapping import is_high_range
from deployments.video.upright_frames import (
    quarter_turns,
    square_size,
    upright_pixels,
    upright_size,
)
from deployments.video.video_reading import FALLBACK_RATE, VideoReading
from serve_app.core.containers import opened_container
from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.image.images import Size
from serve_app.core.notices import Notice
from serve_app.core.time_line import (
    announced_s,
    length_s,
    may_jump,
)
from serve_app.core.tracks import AudioTrack, audio_choice, image_choice, image_track

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

MAX_PIXELS = 8192 * 4320
MAX_DURATION_S = 2 * 3600.0
STILL_FORMATS = frozenset({"png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe", "image2"})
FULL_RANGE = 2
UNSAID = 2
SAID_COLOURS = (
    {1, 4, 5, 6, 7, 9},
    {1, 4, 5, 6, 7, 8, 9, 11, 12, 22},
    {1, 4, 5, 6, 7, 8, 13, 14, 15},
)
"""Matrices, primaries and transfers that H.264 can say and that stand for standard range."""


class Frame(NamedTuple):
    """`pixels` are height by width by RGB, 8 bits; `at_s` is of the file's clock."""

    at_s: float
    pixels: Pixels


class Colours(NamedTuple):
    """Matrix, primaries and transfer of an image in studio range, as ITU-T H.273 numbers them."""

    matrix: int = 1
    primaries: int = 1
    transfer: int = 1


BT709 = Colours()


@dataclass(frozen=True)
class ShownFrame:
    """A frame as the decoder gives it; `at_s` as in Frame. `aspect` is that of its pixels.
    `reformatter` is the video's, which is prepared once, so that one thread has to do it all.
    """

    at_s: float
    frame: Any
    aspect: Fraction | None
    reformatter: VideoReformatter

    @property
    def is_plain(self) -> bool:
        """Whether its planes can be used as they are: upright, square pixels, studio range."""
        frame = self.frame
        return (
            frame.format.name.startswith("yuv4")
            and frame.color_range != FULL_RANGE
            and not is_high_range(frame)
            and quarter_turns(frame) == 0
            and square_size(frame, self.aspect)[0] == frame.width
        )

    @property
    def colours(self) -> Colours:
        """What its planes stand for; those that have no meaning are left unsaid."""
        frame = self.frame
        said = (frame.colorspace, frame.color_primaries, frame.color_trc)
        pairs = zip(said, SAID_COLOURS, strict=True)
        return Colours(*(int(v) if int(v) in known else UNSAID for v, known in pairs))

    def pixels(self) -> Pixels:
        """As in Frame."""
        return upright_pixels(self.frame, self.aspect, self.reformatter)


@dataclass(frozen=True)
class ProbedVideo:
    """What a file says of itself; `size` is upright and of square pixels. `fps` is the average.
    `colours` are those of planes that can be used as they are. The choices are warnings, where
    there was one.
    """

    size: Size
    fps: float
    duration_s: float | None
    num_frames: int | None
    has_audio: bool
    num_recordings: int = 0
    colours: Colours = BT709
    is_high_range: bool = False
    image_choice: tuple[Notice, ...] = ()
    audio_choice: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class OpenVideo:
    """A video that is looked into: its container, its image, and the first frame of that, which
    alone tells how it is turned.
    """

    path: Path
    param: str
    container: Any
    stream: Any
    first: Any

    def probed(self, track: AudioTrack | None) -> ProbedVideo:
        """As the function `probed`."""
        container, stream, first = self.container, self.stream, self.first
        shown = ShownFrame(0.0, first, stream.sample_aspect_ratio, VideoReformatter())
        width, height = upright_size(first, shown.aspect)
        fps = float(stream.average_rate or stream.guessed_rate or FALLBACK_RATE)
        jumps = may_jump(container)
        duration_s = length_s(self.path) if jumps else _duration_s(container, stream)
        _check_duration(duration_s, self.param)
        counted = stream.frames or (round(duration_s * fps) if duration_s else None)
        return ProbedVideo(
            size=Size(width=width, height=height),
            fps=fps,
            duration_s=duration_s,
            num_frames=counted,
            has_audio=bool(container.streams.audio),
            num_recordings=len(container.streams.audio),
            colours=shown.colours if shown.is_plain else BT709,
            is_high_range=is_high_range(first),
            image_choice=image_choice(container),
            audio_choice=audio_choice(container, track),
        )


def probed(path: Path, *, param: str, track: AudioTrack | None = None) -> ProbedVideo:
    """Look into a video: its header and its first frame.

    `track` is the audio that is heard with it. InvalidRequest with `param` for what is no video or
    has no frame, with `audio_track` for a track that is not there; PayloadTooLarge for frames of
    more than `MAX_PIXELS` and for videos of more than `MAX_DURATION_S`.
    """
    with open_video(path, param=param) as opened:
        return opened.probed(track)


@contextmanager
def open_video(path: Path, *, param: str) -> Generator[OpenVideo]:
    """A video to look into. Raises as `probed`, also for what fails within it."""
    with _opened(path, param) as (container, stream):
        first = next(iter(container.decode(stream)), None)
        if first is None:
            raise _undecodable(param)
        yield OpenVideo(path, param, container, stream, first)


def video_frames(path: Path, *, param: str) -> Generator[Frame]:
    """The frames in the order they are shown, turned upright, with square pixels, high dynamic
    range brought down. Damaged packets are skipped; times never fall.

    Raises as `probed`, and InvalidRequest at the end when much of the video is missing.
    """
    with closing(shown_frames(path, param=param)) as frames:
        for shown in frames:
            yield Frame(shown.at_s, shown.pixels())


def shown_frames(path: Path, *, param: str) -> Generator[ShownFrame]:
    """The frames as `video_frames`, as the decoder gives them."""
    with _opened(path, param) as (container, stream):
        reading, reformatter = VideoReading(container, stream), VideoReformatter()
        for frame in reading.frames():
            shown_s = reading.shown_s(frame)
            _check_duration(shown_s, param)
            yield ShownFrame(shown_s, frame, stream.sample_aspect_ratio, reformatter)
        if reading.count == 0:
            raise _undecodable(param)
        reading.check_end(param)


def at_rate(frames: Iterator[Frame], fps: float) -> Iterator[Pixels]:
    """The frame that is shown at each tick of a steady rate: dropped or repeated as need be. The
    last one is shown as long as the one before it.
    """
    tick = 0
    shown: Frame | None = None
    lasted_s = 1 / fps
    for frame in frames:
        while shown is not None and tick / fps < frame.at_s - 0.5 / fps:
            yield shown.pixels
            tick += 1
        if shown is not None:
            lasted_s = frame.at_s - shown.at_s
        shown = frame
    while shown is not None and tick / fps < shown.at_s + lasted_s - 0.5 / fps:
        yield shown.pixels
        tick += 1


@contextmanager
def _opened(path: Path, param: str) -> Generator[tuple[Any, Any]]:
    """The container and its image. What decoding raises inside becomes InvalidRequest."""
    try:
        with opened_container(path) as container:
            if container.format.name.split(",")[0] in STILL_FORMATS:
                raise InvalidRequest("this is an image, not a video", param=param)
            stream = image_track(container)
            if stream is None:
                raise InvalidRequest("there is no video in this file", param=param)
            stream.thread_type = "AUTO"
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > MAX_PIXELS:
                raise PayloadTooLarge(
                    f"a video of {width}x{height} is more than the allowed {MAX_PIXELS} pixels",
                    param=param,
                )
            _check_duration(_duration_s(container, stream), param)
            yield container, stream
    except av.FFmpegError as error:
        raise _undecodable(param) from error


def check_length(path: Path, *, param: str) -> None:
    """PayloadTooLarge for a video, or an audio file, that lasts too long. Decodes nothing; what
    cannot be opened is left to who decodes it.
    """
    with suppress(av.FFmpegError), opened_container(path) as container:
        check_length_in(container, path, param=param)


def check_length_in(container: Any, path: Path, *, param: str) -> None:
    """As `check_length`, of a container that is open."""
    _check_duration(length_s(path) if may_jump(container) else announced_s(container), param)


def _check_duration(lasts_s: float | None, param: str) -> None:
    if lasts_s is not None and lasts_s > MAX_DURATION_S:
        raise PayloadTooLarge(
            f"{lasts_s / 3600:.1f} hours are more than the allowed {MAX_DURATION_S / 3600:g}",
            remedy="cut the video",
            param=param,
        )


def _duration_s(container: Any, stream: Any) -> float | None:
    told_s = announced_s(container)
    is_of_image = told_s is not None and stream.duration and stream.time_base
    return float(stream.duration * stream.time_base) if is_of_image else told_s


def _undecodable(param: str) -> InvalidRequest:
    return InvalidRequest(
        "no video can be decoded from this file",
        remedy="send mp4, webm, mkv or mov",
        param=param,
    )
