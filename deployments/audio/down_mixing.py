"""Any number of channels brought down to one or two, so that nothing that is said in any of them
is lost. Two channels to one are their plain mean, but where they are opposed: there the mean would
be silence, and one of them is turned over.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, groupby
from typing import Any, Literal

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]
Target = Literal["mono", "stereo"]

LOUDEST = 16.0
WINDOW_S = 0.2
"""How long a stretch is looked at to tell whether its channels are opposed."""
FADE_S = 0.02
OPPOSED, ALIKE = -0.6, 0.25
"""Of twice the product of two channels over the sum of their squares: below the one they are
opposed, above the other they are not, in between it stays as it was. Independent channels are at
0, and stereo that is mixed to be heard is seldom below -0.3.
"""
AUDIBLE_PEAK = 1e-3
BESIDE = 2**-0.5
"""Of the centre and of what is behind or above, to the front (ITU-R BS.775-3, annex 4)."""
FRONT = {"FL": "L", "FR": "R"}


def mixed_frames(frames: Iterator[Any], target: Target, *, format: str, rate: int) -> Iterator[Any]:
    """Decoded frames with as many channels, at the rate and in the form that are asked for. Where
    a recording goes on at another rate or with other channels, it is taken up anew.
    """
    import av

    for _, run in groupby(frames, key=_kind):
        resampler = av.AudioResampler(format=format, layout=target, rate=rate)
        for frame in _fewer(run, target):
            yield from resampler.resample(frame)
        yield from resampler.resample(None)


def _kind(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _fewer(run: Iterator[Any], target: Target) -> Iterator[Any]:
    """Frames of one kind, with no more channels than the target has."""
    import av

    first = next(run)
    layout, rate = first.layout, first.sample_rate
    if layout.nb_channels <= (1 if target == "mono" else 2):
        yield from chain((first,), run)
        return
    # Packed, because PyAV finds no end to the planes of eight channels and more.
    packed = av.AudioResampler(format="flt", layout=layout, rate=rate)
    mix = DownMix([channel.name for channel in layout.channels], target, rate)
    for frame in chain((first,), run, (None,)):
        for piece in packed.resample(frame):
            samples = np.asarray(piece.to_ndarray(), dtype=np.float32)
            windows = mix.push(samples.reshape(-1, layout.nb_channels).T)
            yield from (_frame(window, target, rate) for window in windows)
    yield from (_frame(window, target, rate) for window in mix.finish())


def _frame(samples: Samples, target: Target, rate: int) -> Any:
    import av

    plain = np.ascontiguousarray(samples, dtype=np.float32)
    frame = av.AudioFrame.from_ndarray(plain, format="fltp", layout=target)
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    return frame


def mono_blocks(blocks: Iterator[Samples], rate: int) -> Iterator[Samples]:
    """Blocks of one or two channels as one channel, none of them delayed."""
    mix: DownMix | None = None
    for block in blocks:
        if len(block) == 1:
            yield block
            continue
        mix = mix or DownMix(tuple(FRONT), "mono", rate)
        yield from mix.push(block)
    if mix is not None:
        yield from mix.finish()


def stereo_filter(names: Sequence[str]) -> str:
    """The mix as a filter of FFmpeg's, for a process of its own; it turns nothing over."""
    if len(names) <= 2:
        return "pan=" + ("stereo|c0=c0|c1=c1" if len(names) == 2 else "mono|c0=c0")
    sides = [[_weight(name, side) for name in names] for side in ("L", "R")]
    level = max(map(sum, sides)) or 1.0
    mixes = (
        "+".join(f"{weight / level:.4f}*c{place}" for place, weight in enumerate(side) if weight)
        for side in sides
    )
    return "pan=stereo" + "".join(f"|c{side}={mix or '0*c0'}" for side, mix in enumerate(mixes))


class DownMix:
    """Samples shaped (channels, samples) to (1 or 2, samples); `names` are FFmpeg's of channels.
    Holds one window. What is mixed has the level of the channels in which something was heard.
    """

    def __init__(self, names: Sequence[str], target: Target, rate: int) -> None:
        weights = [[_weight(name, side) for name in names] for side in ("L", "R")]
        sides = weights if target == "stereo" else [np.sum(weights, axis=0)]
        self._sides = [_Side(np.asarray(side, dtype=np.float32)) for side in sides]
        self._is_audible = np.full(len(names), len(names) == 2)
        self._window = max(1, round(WINDOW_S * rate))
        self._fade = max(1, round(FADE_S * rate))
        self._waiting: list[Samples] = []
        self._held = 0

    def push(self, samples: Samples) -> Iterator[Samples]:
        """The windows that are complete."""
        self._waiting.append(samples)
        self._held += samples.shape[1]
        if self._held < self._window:
            return
        held = np.concatenate(self._waiting, axis=1)
        whole = self._held // self._window * self._window
        self._waiting, self._held = [held[:, whole:]], self._held - whole
        for start in range(0, whole, self._window):
            yield self._mixed(held[:, start : start + self._window])

    def finish(self) -> Iterator[Samples]:
        """The rest."""
        if self._held:
            yield self._mixed(np.concatenate(self._waiting, axis=1))
        self._waiting, self._held = [], 0

    def _mixed(self, window: Samples) -> Samples:
        # Broken float files hold NaN and huge numbers, which would spread over everything.
        window = np.nan_to_num(window).clip(-LOUDEST, LOUDEST)
        self._is_audible = self._is_audible | (np.abs(window).max(axis=1) > AUDIBLE_PEAK)
        among = self._is_audible if self._is_audible.any() else ~self._is_audible
        level = max(side.weight_of(among) for side in self._sides)
        return np.stack([side.mixed(window, level, self._fade) for side in self._sides])


class _Side:
    """One channel of the mix: how much of every channel is in it, and which are turned over."""

    def __init__(self, weights: Samples) -> None:
        self._weights = weights
        self._signs = np.ones_like(weights)
        self._gains: Samples | None = None

    def weight_of(self, among: Any) -> float:
        return float(self._weights[among].sum())

    def mixed(self, window: Samples, level: float, fade: int) -> Samples:
        """One window; where the gains change, they do so in `fade` samples."""
        self._signs = _signs(window * self._weights[:, None], self._signs)
        gains = (self._signs * self._weights / (level or 1.0)).astype(np.float32)
        before, self._gains = self._gains, gains
        mix: Samples = gains @ window
        if before is not None and not np.array_equal(before, gains):
            head = window[:, :fade]
            share = np.arange(head.shape[1], dtype=np.float32) / fade
            former: Samples = before @ head
            mix[:fade] += np.asarray((1 - share) * (former - mix[:fade]), dtype=np.float32)
        return mix


def _signs(window: Samples, before: Samples) -> Samples:
    """Which channels are turned over, -1, so that no sum of the first ones and the next is much
    less than they are.
    """
    signs = before.copy()
    total = window[0] * signs[0]
    for place in range(1, len(window)):
        channel = window[place]
        energy = float(total @ total + channel @ channel)
        likeness = 2 * float(total @ channel) / energy if energy else 0.0
        if likeness < OPPOSED:
            signs[place] = -1.0
        elif likeness > ALIKE:
            signs[place] = 1.0
        total = total + signs[place] * channel
    return signs


def _weight(name: str, side: str) -> float:
    """Of a channel in one side of a stereo mix. What is on no side is in both, bass too: recorders
    with many tracks call a microphone so.
    """
    if name in FRONT:
        return 1.0 if FRONT[name] == side else 0.0
    if name.startswith("LFE"):
        return BESIDE / 2
    own = name.removesuffix("C")[-1:]
    return BESIDE if own == side or own not in ("L", "R") else 0.0
