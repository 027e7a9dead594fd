"""A video on its way through the decoder: when its frames are shown, and whether all are there."""

from collections.abc import Iterator
from typing import Any

import av

from serve_app.core.errors import InvalidRequest
from serve_app.core.time_line import UNTIMED_FORMATS, TimeLine, announced_s, begin_of

FALLBACK_RATE = 25.0
WHOLE_SHARE = 0.9


class VideoReading:
    """How far it is by its frames and by its packets. Blocks."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._stream = stream
        self._time_line = TimeLine(container)
        self._told_s = _told_s(container, stream)
        self._rate = float(stream.average_rate or FALLBACK_RATE)
        self._is_timed = container.format.name not in UNTIMED_FORMATS
        self._shown_s = 0.0
        self._end_s = 0.0
        self.count = 0

    def frames(self) -> Iterator[Any]:
        """Those of every packet that is not damaged."""
        for packet in self._time_line.packets(self._stream):
            if packet.pts is not None:
                end = packet.pts + (packet.duration or 0)
                self._end_s = max(self._end_s, float(end * self._stream.time_base))
            try:
                decoded = packet.decode()
            except av.InvalidDataError:
                continue
            for frame in decoded:
                self.count += 1
                yield frame

    def shown_s(self, frame: Any) -> float:
        """When it is shown; never before the one before it."""
        shown = frame.time if self._is_timed else None
        shown = (self.count - 1) / self._rate if shown is None else shown
        self._shown_s = max(self._shown_s, shown)
        return self._shown_s

    def check_end(self, param: str) -> None:
        """A file that was cut off announces more than it holds; where it says nothing of the
        image alone, its audio may be what lasts so long.
        """
        told_s, is_of_image = self._told_s
        held_s = max(self._end_s, self._shown_s) + 2 / self._rate
        if not is_of_image:
            held_s = max(held_s, self._time_line.end_s)
        if told_s is None or held_s >= told_s * WHOLE_SHARE:
            return
        raise InvalidRequest(
            f"the file is truncated: it announces {told_s:.1f} s and has {held_s:.1f} s",
            param=param,
        )


def _told_s(container: Any, stream: Any) -> tuple[float | None, bool]:
    """When the image ends, and whether that is said of the image and not of the whole file."""
    told_s = announced_s(container)
    if told_s and stream.duration:
        begins_s = (stream.start_time or 0) * stream.time_base - begin_of(container)
        return float(begins_s + stream.duration * stream.time_base), True
    return told_s, False
