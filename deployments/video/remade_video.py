"""Videos made of videos, frame by frame: what is asked of the source, and how the new one is made.

Everything here blocks.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from deployments.video.video_decoding import ProbedVideo
from deployments.video.video_encoding import VideoWriter
from serve_app.core.errors import PayloadTooLarge
from serve_app.core.image.images import Size
from serve_app.core.message import Progress
from serve_app.core.notices import Notice

SLOWEST_FPS = 0.01
HIGH_RANGE_LOST = Notice(
    field="video", text="its high dynamic range was converted to standard range"
)
LONGEST_SIDE_PX = 16_384
"""No image of H.264 is wider or higher."""

Frame = TypeVar("Frame")


class RemadeFile(NamedTuple):
    """What is known of a file that was written."""

    size: Size
    fps: float
    num_frames: int
    duration_s: float
    warnings: tuple[Notice, ...]


def check_duration(video: ProbedVideo, limit_s: float) -> None:
    """PayloadTooLarge for what says that it is longer."""
    if (video.duration_s or 0) > limit_s:
        raise PayloadTooLarge(
            f"{video.duration_s:.0f} s are more than the allowed {limit_s:.0f} s",
            param="video",
        )


def video_warnings(video: ProbedVideo) -> list[Notice]:
    """What of a video is not in the new one."""
    warnings = [*video.image_choice, *video.audio_choice]
    if video.is_high_range:
        warnings.append(HIGH_RANGE_LOST)
    return warnings


def timed_writer(target: Path, size: Size, video: ProbedVideo, source: Path) -> VideoWriter:
    """For frames with times of their own, with the audio and in the colours of the source."""
    return VideoWriter(
        target,
        size,
        fps=max(video.fps, SLOWEST_FPS),
        audio=source if video.has_audio else None,
        is_timed=True,
        colours=video.colours,
        keeps_audio=True,
    )


def all_written(
    writer: VideoWriter,
    frames: Iterable[Frame],
    write: Callable[[Frame], None],
    *,
    phase: str,
    expected: int,
    stop: Callable[[], bool],
) -> Iterator[Progress]:
    """Progress in frames while `write` hands them to the writer; ends early, with the file not
    whole, when told to stop.
    """
    for frame in frames:
        if stop():
            return
        write(frame)
        done = writer.num_frames
        yield Progress(phase=phase, current=done, total=max(expected, done))
    if not stop():
        writer.finish()
