"""Any video as H.264 in yuv420p, upright and with even sides, its frames at their times, with or
without audio. Everything here blocks.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import Interpolation

from deployments.video.remade_video import HIGH_RANGE_LOST, SLOWEST_FPS
from deployments.video.video_decoding import probed, shown_frames
from deployments.video.video_encoding import VideoWriter
from deployments.video.video_scaling import (
    ResampledFrames,
    write_scaled,
)
from serve_app.core.containers import opened_container
from serve_app.core.errors import Cancelled
from serve_app.core.notices import Notice
from serve_app.core.time_line import UNTIMED_FORMATS, TimeLine
from serve_app.core.tracks import AudioTrack, image_track

PLAIN_FORMATS = frozenset({"yuv420p", "yuvj420p"})
PARAM = "video"


def is_plain(path: Path) -> bool:
    """Whether the image can be copied into an MP4 that every player shows. False for what cannot
    be opened. Reads the file without decoding it.
    """
    try:
        with opened_container(path) as container:
            stream = image_track(container)
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


def losses(source: Path) -> tuple[Notice, ...]:
    """What of a video with audio files of its own is not in one with another audio."""
    video = probed(source, param=PARAM)
    warnings = [*video.image_choice]
    if video.num_recordings > 1:
        said = f"one audio file replaces its {video.num_recordings} audio tracks"
        warnings.append(Notice(field=PARAM, text=said))
    if video.is_high_range and not is_plain(source):
        warnings.append(HIGH_RANGE_LOST)
    return tuple(warnings)


def write_plain(
    source: Path,
    target: Path,
    stop: Callable[[], bool],
    *,
    audio: Path | None = None,
    audio_track: AudioTrack | None = None,
) -> None:
    """InvalidRequest when the source is no video that can be decoded; Cancelled when stopped. It
    has the `audio` of a file, where one is given.
    """
    video = probed(source, param=PARAM)
    resize = ResampledFrames(Interpolation.LANCZOS)
    rate = max(video.fps, SLOWEST_FPS)
    with (
        closing(shown_frames(source, param=PARAM)) as frames,
        VideoWriter(
            target,
            video.size,
            fps=rate,
            is_timed=True,
            colours=video.colours,
            audio=audio,
            audio_track=audio_track,
            keeps_audio=True,
        ) as writer,
    ):
        for shown in frames:
            if stop():
                raise Cancelled("the work was cancelled")
            write_scaled(writer, resize(shown, video, 1, stop), shown.at_s)
        writer.finish()
