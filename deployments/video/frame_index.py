"""When the frames of a video are shown and which of them can be decoded alone, read without
decoding; and what of it a cut keeps. Everything here blocks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import av

from serve_app.core.containers import opened_container
from serve_app.core.errors import InvalidRequest
from serve_app.core.time_line import begin_of
from serve_app.core.tracks import image_track

PARAM = "video"
ROUNDED_S = 0.001
"""Times of callers have three digits; a frame that would be seen for less was not meant."""
BRIEF_S = 0.05
"""A cut within a frame of less begins with it; longer ones are shown from the cut on."""


class Stored(NamedTuple):
    """A packet, in the order of decoding; times are ticks of the stream's clock from where a player
    begins the file.
    """

    pts: int
    dts: int
    is_key: bool


class Window(NamedTuple):
    """Seconds of the file's clock; None is its end."""

    start_s: float = 0.0
    end_s: float | None = None

    def within(self, start_s: float, end_s: float | None) -> "Window":
        """A window in this one, whose seconds count from its start."""
        end = self.end_s if end_s is None else self.start_s + end_s
        if self.end_s is not None and end is not None:
            end = min(end, self.end_s)
        return Window(self.start_s + start_s, end)


@dataclass(frozen=True)
class FrameIndex:
    """`packets` in the order of decoding; `base` is what a tick lasts."""

    packets: tuple[Stored, ...]
    base: Fraction

    @cached_property
    def shown(self) -> list[int]:
        """When each frame is shown, in that order."""
        return sorted(packet.pts for packet in self.packets)

    def kept(self, window: Window) -> range | None:
        """The places in `shown` of the frames that are seen in a window; None where there is
        none.
        """
        start, end = self._ticks(window.start_s), None
        if window.end_s is not None:
            end = self._ticks(window.end_s)
        late = self._ticks(ROUNDED_S)
        before = sum(1 for pts in self.shown if pts <= start + late)
        last = len(self.shown) if end is None else sum(pts < end - late for pts in self.shown)
        found = range(max(0, before - 1), last)
        return found or None

    def start_of(self, window: Window, kept: range) -> int:
        """The tick at which a cut begins: that of its first frame, unless this was shown long
        before, or is not shown yet.
        """
        first, start = self.shown[kept.start], self._ticks(window.start_s)
        is_late = first > start + self._ticks(ROUNDED_S)
        return start if is_late or (start - first) * self.base > BRIEF_S else first

    def is_clean(self, place: int) -> bool:
        """Whether decoding can begin there: no later packet is of a frame before it."""
        packet = self.packets[place]
        return packet.is_key and self._least_after[place] >= packet.pts

    def end_of(self, window: Window, kept: range) -> int | None:
        """The tick at which a cut ends, likewise; None for the end of the file."""
        next_one = self.shown[kept.stop] if kept.stop < len(self.shown) else None
        if window.end_s is None or next_one is None:
            return next_one
        end = self._ticks(window.end_s)
        return end if (next_one - end) * self.base > BRIEF_S else next_one

    def sought(self, pts: int) -> int:
        """The tick to seek to, so that the frame that is shown at `pts` is decoded: containers are
        sought by decoding times, by which a key frame that is shown later may be early enough.
        """
        keys = [packet for packet in self.packets if packet.is_key]
        if all(key.dts > pts or key.pts <= pts for key in keys):
            return pts
        return max([0, *(key.dts for key in keys if key.pts <= pts)])

    @cached_property
    def _least_after(self) -> list[int]:
        least = [packet.pts for packet in self.packets]
        for place in range(len(least) - 2, -1, -1):
            least[place] = min(least[place], least[place + 1])
        return least

    def _ticks(self, seconds: float) -> int:
        return round(Fraction(seconds) / self.base)


class Cut(NamedTuple):
    """What is copied are the `packets` of a FrameIndex. Frames from tick `start` on up to the first
    of them, and from `tail` on up to `end`, are encoded.
    """

    start: int
    packets: range
    head: int | None
    tail: int | None
    end: int | None

    @property
    def is_lossless(self) -> bool:
        """Whether all that is seen is copied."""
        return self.head is None and self.tail is None


def frame_index(path: Path) -> FrameIndex:
    """Of a file that is one recording, whose packets have times."""
    try:
        with opened_container(path) as container:
            stream = image_track(container)
            shift = round(begin_of(container) / stream.time_base)
            found = [
                (packet.pts, packet.dts, bool(packet.is_keyframe))
                for packet in container.demux(stream)
                if packet.pts is not None and not packet.is_discard
            ]
            frame = round(1 / ((stream.average_rate or 25) * stream.time_base))
            packets = [
                Stored(pts - shift, dts - shift, is_key)
                for pts, dts, is_key in _with_decoding_times(found, frame)
            ]
            return FrameIndex(tuple(packets), Fraction(stream.time_base))
    except av.FFmpegError as error:
        raise InvalidRequest("the video cannot be decoded", param=PARAM) from error


def _with_decoding_times(
    found: Sequence[tuple[int, int | None, bool]], frame: int
) -> Iterator[Stored]:
    """Matroska leaves out those of the first packets where frames are reordered; they are counted
    back from the first that is known.
    """
    known = next((place for place, (_, dts, _) in enumerate(found) if dts is not None), None)
    for place, (pts, dts, is_key) in enumerate(found):
        if dts is None and known is not None and place < known:
            dts = (found[known][1] or 0) - (known - place) * frame
        yield Stored(pts, pts if dts is None else dts, is_key)


def planned_cut(index: FrameIndex, window: Window) -> Cut | None:
    """How little has to be encoded; None where nothing of it can be copied."""
    kept = index.kept(window)
    if kept is None:
        return None
    shown, packets = index.shown, index.packets
    first, start = shown[kept.start], index.start_of(window, kept)
    if start < first:
        # What is heard before the image begins cannot be sought by its key frames.
        return None
    end = index.end_of(window, kept)
    begins = (
        place
        for place, packet in enumerate(packets)
        if packet.pts >= max(first, start)
        and (end is None or packet.pts < end)
        and index.is_clean(place)
    )
    begin = next(begins, None)
    if begin is None:
        return None
    head = None if packets[begin].pts == first else first
    inside = [p for p in range(begin, len(packets)) if end is None or packets[p].pts < end]
    stop = inside[-1] + 1
    if len(inside) == stop - begin:
        return Cut(start, range(begin, stop), head, None, end)
    last = max(place for place in inside if index.is_clean(place))
    if last == begin:
        return None
    return Cut(start, range(begin, last), head, packets[last].pts, end)
