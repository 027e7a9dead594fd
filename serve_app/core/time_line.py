"""One clock for all tracks of a file: seconds from where a player begins it.

Everything that reads a track reads its packets here, so that a word, a frame and a copied packet of
the same moment have the same time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any

from serve_app.core.containers import opened_container
from serve_app.core.tracks import videos_of

UNTIMED_FORMATS = frozenset({"avi", "h264", "hevc"})
"""Their packets say nothing of when something is shown or heard, only of the order."""
MAY_JUMP = 0x0200
"""libavformat's AVFMT_TS_DISCONT: transport streams and others that are joined without a word."""
BACKS_PER_S = 4
"""Decoding times never fall; what is earlier by such a part of a second belongs to another
recording.
"""
JUMP_S = 10
"""A longer step ahead of all tracks, where timestamps may jump, is no pause; as ffmpeg takes it."""
LONGEST_PAUSE_S = 3600
"""Where the file does not say how long it is."""
LONGEST_FILE_S = 48 * 3600
"""What says that it is longer says nothing, and what lasts longer has no more pauses."""
REMEMBERED = 8
"""Recordings that a track may lag behind: a file of nothing but jumps is read in linear time."""


def begin_of(container: Any) -> Fraction:
    """The second of the file's own timestamps at which a player begins."""
    import av

    return Fraction(container.start_time or 0, av.time_base)


def may_jump(container: Any) -> bool:
    """Whether files of this format may be joined, so that their timestamps begin again."""
    return bool(container.format.flags & MAY_JUMP)


def announced_s(container: Any) -> float | None:
    """When the file says that it ends. None where it does not, as where it may be joined: what
    libavformat gives there it has read off the ends of the file.
    """
    import av

    announced = _announced(container)
    return None if announced is None else announced / av.time_base


def _announced(container: Any) -> int | None:
    """The same in libavformat's own units."""
    if may_jump(container) or not container.duration:
        return None
    # Matroska says when its last block ends, by its own timestamps.
    is_by_own = container.format.name.startswith("matroska")
    return int(container.duration - (container.start_time or 0 if is_by_own else 0))


def length_s(path: Path) -> float:
    """When the last of a file's tracks ends. Reads all of it, decodes nothing."""
    return _read_through(path).end_s


def is_joined(path: Path) -> bool:
    """Whether it holds several recordings, one after the other. Reads as `length_s`."""
    return _read_through(path).parts > 1


def _read_through(path: Path) -> "TimeLine":
    with opened_container(path) as container:
        time_line = TimeLine(container)
        for stream in [*videos_of(container), *container.streams.audio][:1]:
            for _ in time_line.packets(stream):
                pass
        return time_line


@dataclass
class _Track:
    """A tick of `base` seconds lasts `tick` units of the clock. `part` is the number of the
    recording in the file that it is in, `at` the decoding time of its last packet, `due` that of
    the next one if it goes on, and `end` when the last of what was seen or heard ends.
    """

    base: Fraction
    tick: int
    part: int = 0
    at: int | None = None
    due: int = 0
    end: int = 0

    def divide(self, factor: int) -> None:
        """Count in units of which as many as `factor` are one of those before."""
        self.tick *= factor
        self.at = None if self.at is None else self.at * factor
        self.due *= factor
        self.end *= factor


class TimeLine:
    """A container being read. Packets come in the order of the file with times of this clock: the
    earliest track begins at 0, a recording that was joined begins where the one before it ends.

    Within, times are whole numbers of a unit that divides the ticks of all tracks: as exact as
    fractions of seconds, and many times quicker.
    """

    def __init__(self, container: Any) -> None:
        import av

        self._container = container
        self._may_jump = may_jump(container)
        self._is_timed = container.format.name not in UNTIMED_FORMATS
        self._units_per_s: int = av.time_base
        told = _announced(container)
        is_likely = told is not None and 0 < told <= LONGEST_FILE_S * av.time_base
        self._told = told if is_likely else None
        self._shifts = [-(container.start_time or 0)]
        self._tracks: dict[int, _Track] = {}
        self._at = 0
        self._end = 0

    @property
    def end_s(self) -> float:
        """When the last of what was read so far ends, of all tracks."""
        return self._end / self._units_per_s

    @property
    def parts(self) -> int:
        """How many recordings have been found in the file so far."""
        return len(self._shifts)

    def end_beside_s(self, stream: Any) -> float:
        """As `end_s`, of the tracks but one."""
        ends = [track.end for index, track in self._tracks.items() if index != stream.index]
        return max(ends, default=0) / self._units_per_s

    def packets(self, wanted: Any) -> Iterator[Any]:
        """Those of a stream, the empty one at the end included. All tracks are read along, as they
        say where the file is.
        """
        watched = [*videos_of(self._container), *self._container.streams.audio]
        if wanted.index not in [stream.index for stream in watched]:
            watched.append(wanted)
        for packet in self._container.demux(watched):
            self._place(packet)
            if packet.stream_index == wanted.index:
                yield packet

    def _place(self, packet: Any) -> None:
        dts, pts, duration = packet.dts, packet.pts, packet.duration or 0
        if dts is None and pts is None:
            return
        track = self._track(packet)
        begin = self._begin(dts, pts)
        # Matroska leaves out the decoding times of the first packets where frames are reordered.
        if dts is not None:
            track.part = self._part(track, dts * track.tick, begin * track.tick)
        shift = _rounded(self._shifts[track.part], track.tick)
        if pts is not None:
            packet.pts = pts + shift
        if dts is not None:
            packet.dts = dts + shift
            track.at = (dts + shift) * track.tick
            track.due = track.at + duration * track.tick
        if track.part == len(self._shifts) - 1:
            self._at = track.at or self._at
        # What an edit list cuts off is decoded, as others depend on it, but not shown.
        if not packet.is_discard:
            track.end = max(track.end, (begin + shift + duration) * track.tick)
            self._end = max(self._end, track.end)

    def _track(self, packet: Any) -> _Track:
        """The track of a packet. Streams that are chained in one track may change its ticks."""
        base: Fraction = packet.time_base
        track = self._tracks.get(packet.stream_index)
        if track is None or track.base != base:
            self._divide(base.denominator // gcd(base.denominator, self._units_per_s))
            tick = base.numerator * (self._units_per_s // base.denominator)
            track = self._tracks.setdefault(packet.stream_index, _Track(base, tick))
            track.base, track.tick = base, tick
        return track

    def _divide(self, factor: int) -> None:
        """Count in units of which as many as `factor` are one of those before."""
        self._units_per_s *= factor
        self._told = None if self._told is None else self._told * factor
        self._shifts = [shift * factor for shift in self._shifts]
        self._at *= factor
        self._end *= factor
        for track in self._tracks.values():
            track.divide(factor)

    def _part(self, track: _Track, at: int, begin: int) -> int:
        """The recording that a packet is of, which may begin with it."""
        newest = len(self._shifts) - 1
        last, back = track.at, self._units_per_s // BACKS_PER_S
        if track.part < newest:
            # Another track is in a later one already. This one may lag behind and go on; else it is
            # in whichever is nearer to where the file is.
            if abs(at + self._shifts[track.part] - track.due) <= back:
                return track.part
            possible = [
                part
                for part in range(max(track.part, newest - REMEMBERED), newest + 1)
                if last is None or at + self._shifts[part] >= last - back
            ]
            if possible:
                return min(possible, key=lambda part: abs(at + self._shifts[part] - self._at))
        placed = at + self._shifts[newest]
        falls = last is not None and placed < last - back
        if falls or placed - self._end > self._longest_pause(placed):
            self._shifts.append(self._end - begin)
            newest += 1
        return newest

    def _begin(self, dts: Any, pts: Any) -> int:
        """The tick at which a packet is seen or heard, by the one of both that says it."""
        is_known = pts is not None and (self._is_timed or dts is None)
        return int(pts if is_known else dts)

    def _longest_pause(self, until: int) -> int:
        jump = JUMP_S * self._units_per_s
        if until > LONGEST_FILE_S * self._units_per_s:
            return 0
        if self._may_jump:
            return jump
        if self._told is None:
            return LONGEST_PAUSE_S * self._units_per_s
        return self._told if until <= self._told + jump else jump


def _rounded(units: int, tick: int) -> int:
    """So many ticks, as `round` takes a fraction: the even one of two that are as near."""
    ticks, rest = divmod(units, tick)
    is_above = 2 * rest > tick or (2 * rest == tick and ticks % 2 == 1)
    return ticks + is_above
