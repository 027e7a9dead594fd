"""One clock for all tracks of a file: seconds from where a player begins it.

Everything that reads a track reads its packets here, so that a word, a frame and a copied packet of
the same moment have the same time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from serve_app.core.containers import opened_container
from serve_app.core.tracks import videos_of

UNTIMED_FORMATS = frozenset({"avi", "h264", "hevc"})
"""Their packets say nothing of when something is shown or heard, only of the order."""
MAY_JUMP = 0x0200
"""libavformat's AVFMT_TS_DISCONT: transport streams and others that are joined without a word."""
BACK_S = Fraction(1, 4)
"""Decoding times never fall; what is earlier than this belongs to another recording."""
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

    if may_jump(container) or not container.duration:
        return None
    stated = Fraction(container.duration, av.time_base)
    # Matroska says when its last block ends, by its own timestamps.
    is_by_own = container.format.name.startswith("matroska")
    return float(stated - begin_of(container) if is_by_own else stated)


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
    """`part` is the number of the recording in the file that it is in, `at_s` the decoding time of
    its last packet, `due_s` that of the next one if it goes on, and `end_s` when the last of what
    was seen or heard ends.
    """

    part: int = 0
    at_s: Fraction | None = None
    due_s: Fraction = Fraction(0)
    end_s: Fraction = Fraction(0)


class TimeLine:
    """A container being read. Packets come in the order of the file with times of this clock: the
    earliest track begins at 0, a recording that was joined begins where the one before it ends.
    """

    def __init__(self, container: Any) -> None:
        self._container = container
        self._may_jump = may_jump(container)
        self._is_timed = container.format.name not in UNTIMED_FORMATS
        told_s = announced_s(container)
        self._told_s = told_s if told_s and 0 < told_s <= LONGEST_FILE_S else None
        self._shifts = [-begin_of(container)]
        self._tracks: dict[int, _Track] = {}
        self._at_s = Fraction(0)

    @property
    def end_s(self) -> float:
        """When the last of what was read so far ends, of all tracks."""
        return float(self._end_s())

    @property
    def parts(self) -> int:
        """How many recordings have been found in the file so far."""
        return len(self._shifts)

    def end_beside_s(self, stream: Any) -> float:
        """As `end_s`, of the tracks but one."""
        ends = [track.end_s for index, track in self._tracks.items() if index != stream.index]
        return float(max(ends, default=0))

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
        if packet.dts is None and packet.pts is None:
            return
        base = packet.time_base
        track = self._tracks.setdefault(packet.stream_index, _Track())
        # Matroska leaves out the decoding times of the first packets where frames are reordered.
        if packet.dts is not None:
            track.part = self._part(track, packet)
        shift = round(self._shifts[track.part] / base)
        if packet.pts is not None:
            packet.pts += shift
        if packet.dts is not None:
            packet.dts += shift
            track.at_s = packet.dts * base
            track.due_s = track.at_s + (packet.duration or 0) * base
        if track.part == len(self._shifts) - 1:
            self._at_s = track.at_s or self._at_s
        # What an edit list cuts off is decoded, as others depend on it, but not shown.
        if not packet.is_discard:
            end = self._begin(packet) + (packet.duration or 0)
            track.end_s = max(track.end_s, end * base)

    def _part(self, track: _Track, packet: Any) -> int:
        """The recording that a packet is of, which may begin with it."""
        at_s = packet.dts * packet.time_base
        newest = len(self._shifts) - 1
        last_s = track.at_s
        if track.part < newest:
            # Another track is in a later one already. This one may lag behind and go on; else it is
            # in whichever is nearer to where the file is.
            if abs(at_s + self._shifts[track.part] - track.due_s) <= BACK_S:
                return track.part
            possible = [
                part
                for part in range(max(track.part, newest - REMEMBERED), newest + 1)
                if last_s is None or at_s + self._shifts[part] >= last_s - BACK_S
            ]
            if possible:
                return min(possible, key=lambda part: abs(at_s + self._shifts[part] - self._at_s))
        placed_s = at_s + self._shifts[newest]
        falls = last_s is not None and placed_s < last_s - BACK_S
        if falls or placed_s - self._end_s() > self._longest_pause_s(placed_s):
            begin_s = self._begin(packet) * packet.time_base
            self._shifts.append(self._end_s() - begin_s)
            newest += 1
        return newest

    def _begin(self, packet: Any) -> int:
        """The tick at which it is seen or heard."""
        is_known = packet.pts is not None and (self._is_timed or packet.dts is None)
        return int(packet.pts if is_known else packet.dts)

    def _longest_pause_s(self, until_s: Fraction) -> float:
        if until_s > LONGEST_FILE_S:
            return 0
        if self._may_jump:
            return JUMP_S
        if self._told_s is None:
            return LONGEST_PAUSE_S
        return self._told_s if until_s <= self._told_s + JUMP_S else JUMP_S

    def _end_s(self) -> Fraction:
        return max((track.end_s for track in self._tracks.values()), default=Fraction(0))
