"""Whether a file holds as much as it announces. Everything here blocks."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import av

from deployments.video.video_reading import WHOLE_SHARE
from serve_app.core.containers import opened_container
from serve_app.core.errors import InvalidRequest
from serve_app.core.time_line import announced_s, begin_of

BEFORE_END = av.time_base // 10


def check_whole(path: Path, *, param: str) -> None:
    """InvalidRequest for a video, or an audio file, that was cut off. Decodes nothing and reads no
    more than from the last key frame on; what cannot be opened is left to who decodes it.
    """
    with suppress(av.FFmpegError), opened_container(path) as container:
        check_whole_in(container, param=param)


def check_whole_in(container: Any, *, param: str) -> None:
    """As `check_whole`, of a container that is open. It is read somewhere else afterwards."""
    told_s = announced_s(container)
    if told_s is None:
        return
    held_s = _held_s(container)
    if held_s < told_s * WHOLE_SHARE:
        raise InvalidRequest(
            f"the file is truncated: it announces {told_s:.1f} s and has {held_s:.1f} s",
            param=param,
        )


def _held_s(container: Any) -> float:
    """When the last packet of any track ends, counted from the beginning: one of them may end long
    before the others. Where the end cannot be sought, or nothing is found there, everything is
    read.
    """
    begin = container.start_time or 0
    # Where every packet can be sought, there is nothing at the very end.
    for place in (begin + max(0, container.duration - BEFORE_END), begin):
        with suppress(av.FFmpegError):
            container.seek(place)
            if end_s := _end_s(container):
                return end_s - float(begin_of(container))
    return 0.0


def _end_s(container: Any) -> float:
    ends: dict[int, int] = {}
    # A file that was cut off ends with an error, or does not.
    with suppress(av.FFmpegError):
        for packet in container.demux():
            if packet.pts is not None:
                end, index = packet.pts + (packet.duration or 0), packet.stream_index
                ends[index] = max(end, ends.get(index, end))
    streams = container.streams
    return max((float(end * streams[index].time_base) for index, end in ends.items()), default=0.0)
