"""Any film as H.264 in yuv420p, upright and with even sides, its frames at their times, without
sound. Everything here blocks.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import av
from av.video.reformatter import Interpolation

from deployments.video.video_decoding import UNTIMED_FORMATS, probed, shown_frames
from deployments.video.video_encoding import VideoWriter
from deployments.video.video_scaling import (
    HIGH_RANGE_LOST,
    SLOWEST_FPS,
    ResampledFrames,
    write_scaled,
)
from serve_app.core.containers import opened_container
from serve_app.core.errors import Cancelled

PLAIN_FORMATS = frozenset({"yuv420p", "yuvj420p"})
PARAM = "video"


def is_plain(path: Path) -> bool:
    """Whether the picture can be copied into an MP4 that every player shows. False for what cannot
    be opened.
    """
    try:
        with opened_container(path) as container:
            if not container.streams.video or container.format.name in UNTIMED_FORMATS:
                return False
            context = container.streams.video[0].codec_context
            return context.name == "h264" and context.pix_fmt in PLAIN_FORMATS
    except av.FFmpegError:
        return False


def losses(source: Path) -> tuple[str, ...]:
    """What of a film with sounds of its own is not in one with another sound."""
    film = probed(source, param=PARAM)
    warnings = []
    if film.num_sounds > 1:
        warnings.append(f"video: one sound is in place of its {film.num_sounds} sound tracks")
    if film.is_high_range and not is_plain(source):
        warnings.append(HIGH_RANGE_LOST)
    return tuple(warnings)


def write_plain(source: Path, target: Path, stop: Callable[[], bool]) -> None:
    """InvalidRequest when the source is no video that can be decoded; Cancelled when stopped."""
    film = probed(source, param=PARAM)
    resize = ResampledFrames(Interpolation.LANCZOS)
    rate = max(film.fps, SLOWEST_FPS)
    with (
        closing(shown_frames(source, param=PARAM)) as frames,
        VideoWriter(target, film.size, fps=rate, is_timed=True, colours=film.colours) as writer,
    ):
        for shown in frames:
            if stop():
                raise Cancelled("the work was cancelled")
            write_scaled(writer, resize(shown, film, 1, stop), shown.at_s)
        writer.finish()
