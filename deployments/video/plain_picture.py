"""Any film as H.264 in yuv420p, upright and with even sides, its frames at their times, with or
without sound. Everything here blocks.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import Interpolation

from deployments.video.video_decoding import probed, shown_frames
from deployments.video.video_encoding import VideoWriter
from deployments.video.video_scaling import (
    HIGH_RANGE_LOST,
    SLOWEST_FPS,
    ResampledFrames,
    write_scaled,
)
from serve_app.core.containers import opened_container
from serve_app.core.errors import Cancelled
from serve_app.core.time_line import UNTIMED_FORMATS, TimeLine
from serve_app.core.tracks import AudioTrack, picture_track

PLAIN_FORMATS = frozenset({"yuv420p", "yuvj420p"})
PARAM = "video"


def is_plain(path: Path) -> bool:
    """Whether the picture can be copied into an MP4 that every player shows. False for what cannot
    be opened. Reads the file without decoding it.
    """
    try:
        with opened_container(path) as container:
            stream = picture_track(container)
            if stream is None or container.format.name in UNTIMED_FORMATS:
                return False
            context = stream.codec_context
            is_shown = context.name == "h264" and context.pix_fmt in PLAIN_FORMATS
            return is_shown and _is_in_one_piece(container, stream)
    except av.FFmpegError:
        return False


def _is_in_one_piece(container: Any, stream: Any) -> bool:
    """Not joined from recordings, of which each has parameters of its own, and not cut within."""
    time_line = TimeLine(container)
    for packet in time_line.packets(stream):
        if time_line.parts > 1 or (packet.is_discard and (packet.pts or 0) > 0):
            return False
    return True


def losses(source: Path) -> tuple[str, ...]:
    """What of a film with sounds of its own is not in one with another sound."""
    film = probed(source, param=PARAM)
    warnings = [*film.picture_choice]
    if film.num_sounds > 1:
        warnings.append(f"video: one sound is in place of its {film.num_sounds} sound tracks")
    if film.is_high_range and not is_plain(source):
        warnings.append(HIGH_RANGE_LOST)
    return tuple(warnings)


def write_plain(
    source: Path,
    target: Path,
    stop: Callable[[], bool],
    *,
    sound: Path | None = None,
    sound_track: AudioTrack | None = None,
) -> None:
    """InvalidRequest when the source is no video that can be decoded; Cancelled when stopped. It
    has the `sound` of a file, where one is given.
    """
    film = probed(source, param=PARAM)
    resize = ResampledFrames(Interpolation.LANCZOS)
    rate = max(film.fps, SLOWEST_FPS)
    with (
        closing(shown_frames(source, param=PARAM)) as frames,
        VideoWriter(
            target,
            film.size,
            fps=rate,
            is_timed=True,
            colours=film.colours,
            sound=sound,
            sound_track=sound_track,
            keeps_sound=True,
        ) as writer,
    ):
        for shown in frames:
            if stop():
                raise Cancelled("the work was cancelled")
            write_scaled(writer, resize(shown, film, 1, stop), shown.at_s)
        writer.finish()
