"""A long audio in pieces that know their surroundings, and each piece to a spectrum and back."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from deployments.audio.audio_samples import Samples

WINDOW_S = 0.093
"""About 4096 samples at 44.1 kHz: long enough to tell bass notes apart."""
PIECE_S = 6.0
HOPS_PER_WINDOW = 4
Spectrum = np.ndarray[Any, np.dtype[np.complex64]]


@dataclass(frozen=True)
class WindowGrid:
    """Samples per window, per step, per piece, and to either side of a piece; all multiples of
    `hop`, so that every piece sees the same frames as the whole audio would.
    """

    window: int
    hop: int
    piece: int
    margin: int

    @classmethod
    def for_rate(cls, sample_rate: int, *, reach_frames: int) -> "WindowGrid":
        """For masks that depend on `reach_frames` frames to either side."""
        window = max(64, 1 << round(np.log2(WINDOW_S * sample_rate)))
        hop = window // HOPS_PER_WINDOW
        piece = max(1, round(PIECE_S * sample_rate / hop)) * hop
        return cls(window, hop, piece, (reach_frames + 2 * HOPS_PER_WINDOW) * hop)


def pieces(blocks: Iterator[Samples], grid: WindowGrid) -> Iterator[tuple[Samples, int]]:
    """Each piece with a margin on both sides, and how many samples lie between the margins; what
    is beyond the audio's ends is its mirror image. Holds one piece at a time.
    """
    waiting: list[Samples] = []
    held = 0
    buffer: Samples | None = None
    needed = grid.piece + 2 * grid.margin
    for block in blocks:
        waiting.append(block)
        held += block.shape[1]
        if buffer is None and held >= grid.margin:
            waiting = [mirrored(np.concatenate(waiting, axis=1), grid.margin, 0)]
            held = waiting[0].shape[1]
            buffer = waiting[0]
        if buffer is None or held < needed:
            continue
        buffer = np.concatenate(waiting, axis=1)
        while buffer.shape[1] >= needed:
            yield buffer[:, :needed], grid.piece
            buffer = buffer[:, grid.piece :]
        waiting, held = [buffer], buffer.shape[1]
    yield from _last(waiting, grid, is_begun=buffer is not None)


def _last(
    waiting: list[Samples], grid: WindowGrid, *, is_begun: bool
) -> Iterator[tuple[Samples, int]]:
    if not waiting:
        return
    rest = mirrored(np.concatenate(waiting, axis=1), 0 if is_begun else grid.margin, grid.margin)
    while rest.shape[1] > 2 * grid.margin:
        part = rest[:, : grid.piece + 2 * grid.margin]
        yield part, part.shape[1] - 2 * grid.margin
        rest = rest[:, grid.piece :]


def mirrored(samples: Samples, before: int, after: int) -> Samples:
    """With its mirror image at its ends."""
    return np.pad(samples, ((0, 0), (before, after)), mode="symmetric")


def spectrum_of(piece: Samples, grid: WindowGrid) -> Spectrum:
    """The short-time spectrum (channels, frames, bins) of a piece, padded to whole steps."""
    missing = -(piece.shape[1] - grid.window) % grid.hop
    padded = np.pad(piece, ((0, 0), (0, missing)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, grid.window, axis=1)
    windowed = frames[:, :: grid.hop] * _window(grid)
    return np.fft.rfft(windowed, axis=-1).astype(np.complex64)


def inner_samples(spectrum: Spectrum, grid: WindowGrid, count: int) -> Samples:
    """The `count` samples after the margin, by overlap and addition."""
    frames = np.fft.irfft(spectrum, n=grid.window, axis=-1).astype(np.float32) * _window(grid)
    steps = frames.shape[1] + HOPS_PER_WINDOW - 1
    audio = np.zeros((frames.shape[0], steps, grid.hop), dtype=np.float32)
    for part in range(HOPS_PER_WINDOW):
        share = frames[:, :, part * grid.hop : (part + 1) * grid.hop]
        audio[:, part : part + frames.shape[1]] += share
    scaled = audio.reshape(frames.shape[0], -1) * (2 / HOPS_PER_WINDOW)
    flat: Samples = np.asarray(scaled, dtype=np.float32)
    return flat[:, grid.margin : grid.margin + count]


def _window(grid: WindowGrid) -> Any:
    """The root of a Hann window, used on the way there and back."""
    phase = 2 * np.pi * np.arange(grid.window) / grid.window
    return np.sqrt(0.5 - 0.5 * np.cos(phase)).astype(np.float32)
