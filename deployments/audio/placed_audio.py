"""Decoded audio at its place: silence where a file holds none, nothing twice."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from serve_app.core.time_line import UNTIMED_FORMATS, TimeLine

TOLERATED_S = Fraction(8, 100)
"""Timestamps are rounded, late, or drift by less than this from what the samples add up to."""
SILENCE_S = 1
"""A piece of it at most, so that a pause takes no memory."""


def placed_frames(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of an audio track without timestamps, to be played one after the other from second
    0 of the file's clock to its end. Damaged packets are skipped; nothing comes where nothing can
    be decoded.
    """
    time_line = TimeLine(container)
    filler = GapFiller(is_timed=container.format.name not in UNTIMED_FORMATS)
    for packet in time_line.packets(stream):
        for frame in _decoded(packet):
            yield from filler.placed(frame)
    yield from filler.filled_up(time_line.end_beside_s(stream))


class GapFiller:
    """How far an audio file has come; frames are taken in their order."""

    def __init__(self, *, is_timed: bool = True) -> None:
        self._is_timed = is_timed
        self._end_s = Fraction(0)
        self._last: Any = None

    def placed(self, frame: Any) -> Iterator[Any]:
        """Silence where it is due, then the frame, unless its time has passed."""
        early_s = self._early_s(frame)
        if early_s < -TOLERATED_S and self._last is not None:
            return
        self._last = frame
        if early_s > TOLERATED_S:
            yield from self._silence(early_s)
        # Else the resampler would do the same by its own rules.
        frame.pts = None
        self._end_s += Fraction(frame.samples, frame.sample_rate)
        yield frame

    def filled_up(self, end_s: float) -> Iterator[Any]:
        """Silence up to a second."""
        missing_s = Fraction(end_s) - self._end_s
        if self._last is not None and missing_s > TOLERATED_S:
            yield from self._silence(missing_s)

    def _early_s(self, frame: Any) -> Fraction:
        """How much later than what there is the frame is due."""
        if frame.pts is None or not (self._is_timed or self._last is None):
            return Fraction(0)
        return Fraction(frame.pts * frame.time_base - self._end_s)

    def _silence(self, seconds: Fraction) -> Iterator[Any]:
        rate = self._last.sample_rate
        left = round(seconds * rate)
        self._end_s += Fraction(left, rate)
        while left > 0:
            count = min(left, SILENCE_S * rate)
            yield _silent(self._last, count)
            left -= count


def _silent(like: Any, samples: int) -> Any:
    import av

    frame = av.AudioFrame(format=like.format, layout=like.layout, samples=samples)
    frame.sample_rate = like.sample_rate
    zero = b"\x80" if like.format.name.startswith("u8") else b"\0"
    # Of eight channels and more PyAV 18 lists planes that are none.
    for plane in frame.planes[: like.layout.nb_channels if like.format.is_planar else 1]:
        plane.update(zero * plane.buffer_size)
    return frame


def _decoded(packet: Any) -> list[Any]:
    import av

    try:
        return list(packet.decode())
    except av.InvalidDataError:
        return []
