"""The clock of a file is as exact as fractions of seconds, whatever the ticks of its tracks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.core.time_line import MAY_JUMP, TimeLine

MICROSECOND = Fraction(1, 1_000_000)
BASES = [
    *(Fraction(1, 90_000), Fraction(1, 44_100), Fraction(1, 48_000), Fraction(1, 1_000)),
    *(Fraction(1001, 30_000), Fraction(1, 3), Fraction(2, 7), Fraction(1), Fraction(1, 999_983)),
]


@dataclass
class Packet:
    """As much of PyAV's as a clock looks at."""

    stream_index: int
    time_base: Fraction
    pts: int | None
    dts: int | None
    duration: int | None = 1
    is_discard: bool = False


@dataclass
class Container:
    packets: Sequence[Packet]
    start_time: int | None = 0
    duration: int | None = None
    flags: int = 0
    streams: Any = field(init=False)
    format: Any = field(init=False)

    def __post_init__(self) -> None:
        indices = sorted({packet.stream_index for packet in self.packets})
        audio = [SimpleNamespace(index=index) for index in indices]
        self.streams = SimpleNamespace(video=[], audio=audio)
        self.format = SimpleNamespace(name="mov", flags=self.flags)

    def demux(self, _: object) -> Iterator[Packet]:
        return iter(self.packets)


def read(container: Container) -> TimeLine:
    time_line = TimeLine(container)
    for _ in time_line.packets(container.streams.audio[0]):
        pass
    return time_line


packets = st.builds(
    Packet,
    stream_index=st.integers(0, 2),
    time_base=st.sampled_from(BASES),
    pts=st.integers(0, 9),
    dts=st.none(),
    duration=st.none() | st.integers(0, 9),
    is_discard=st.booleans(),
)


@given(
    found=st.lists(packets, min_size=1, max_size=9), start=st.none() | st.integers(-(10**9), 10**9)
)
@settings(deadline=None, database=None, derandomize=True, max_examples=200)
def test_times_are_those_of_fractions(found: list[Packet], start: int | None) -> None:
    """Also where the ticks of a track change, as in streams that are chained."""
    moved = [
        (packet.pts or 0) + round(-(start or 0) * MICROSECOND / packet.time_base)
        for packet in found
    ]
    ends: dict[int, Fraction] = {}
    for pts, packet in zip(moved, found, strict=True):
        if not packet.is_discard:
            end = (pts + (packet.duration or 0)) * packet.time_base
            ends[packet.stream_index] = max(end, ends.get(packet.stream_index, Fraction(0)))
    container = Container(found, start_time=start)
    time_line = read(container)
    assert [packet.pts for packet in found] == moved
    assert time_line.end_s == float(max([0, *ends.values()]))
    assert time_line.parts == 1
    first = container.streams.audio[0]
    others = [end for index, end in ends.items() if index != first.index]
    assert time_line.end_beside_s(first) == float(max([0, *others]))


@pytest.mark.parametrize("base", BASES)
def test_a_recording_begins_where_the_one_before_it_ended(base: Fraction) -> None:
    """To the tick of its track, although the end is counted in those of another."""
    length_s = 20
    ticks = round(length_s / base)
    other = Fraction(1, 44_100)
    first = Packet(0, other, 0, 0, duration=44_100 * length_s + 1)
    lasting = Packet(1, base, 0, 0, duration=ticks)
    joined = Packet(1, base, 500 + 100 * ticks, 500 + 100 * ticks)
    time_line = read(Container([first, lasting, joined], flags=MAY_JUMP))
    assert time_line.parts == 2
    assert joined.dts == round(max((44_100 * length_s + 1) * other, ticks * base) / base)


def test_a_small_step_back_is_of_the_same_recording() -> None:
    base = Fraction(1, 1_000)
    times = [(1_000, 1), (751, 1), (500, 2)]
    for at, parts in times:
        packets = [Packet(0, base, 1_000, 1_000), Packet(0, base, at, at)]
        assert read(Container(packets, flags=MAY_JUMP)).parts == parts
