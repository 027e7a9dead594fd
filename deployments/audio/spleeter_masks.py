"""What Spleeter's networks make of a mix, piece by piece: the share that each stem has in every bin
of its spectrum. Imported only where torch is.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deployments.audio.audio_samples import Samples
from deployments.audio.overlapping_windows import WindowGrid, pieces
from deployments.audio.spleeter_network import BINS, FRAMES, StemNetwork
from deployments.tensor_files import UnreadableTensors, state_of
from deployments.torch_device import device_of
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.options.audio import SpleeterOptions

WINDOW, HOP = 4096, 1024
MARGIN_HOPS = 65
"""Of surroundings that are seen to either side, and not kept: with them a piece is FRAMES long."""
PIECE_HOPS = FRAMES - 1 + WINDOW // HOP - 2 * MARGIN_HOPS
GRID = WindowGrid(WINDOW, HOP, PIECE_HOPS * HOP, MARGIN_HOPS * HOP)
SQUARES = 1.5
"""What the squares of four overlapping Hann windows add up to."""
FAINTEST = 1e-10
FILES = ("vocals.safetensors", "accompaniment.safetensors")
StemSamples = np.ndarray[Any, np.dtype[np.float32]]
"""Shaped (stems, channels, samples), stems in the order of FILES."""


class SpleeterModel:
    """The networks of all stems. BackendUnavailable for files that are something else."""

    sample_rate = 44_100

    def __init__(self, options: SpleeterOptions, model: Model, path: Path | None) -> None:
        self._device = device_of(options)
        self._networks = [_network(model, path, name).to(self._device) for name in FILES]
        self._window = torch.hann_window(WINDOW, device=self._device)

    def stems(self, mix: Iterator[Samples], stop: Callable[[], bool]) -> Iterator[StemSamples]:
        """The stems of stereo audio in pieces that follow each other. They add up to the mix; ends
        early when told to stop.
        """
        for piece, count in pieces(mix, GRID):
            if stop():
                return
            yield self._stems(piece)[..., GRID.margin : GRID.margin + count]

    @torch.inference_mode()
    def _stems(self, piece: Samples) -> StemSamples:
        samples = torch.from_numpy(np.ascontiguousarray(piece, dtype=np.float32))
        samples = torch.nn.functional.pad(samples, (0, -(len(samples[0]) - WINDOW) % HOP))
        frames = samples.to(self._device).unfold(-1, WINDOW, HOP)
        spectrum = torch.fft.rfft(frames * self._window)
        masked = spectrum * self._masks(spectrum.abs())
        return self._overlapped(torch.fft.irfft(masked, n=WINDOW) * self._window)

    def _masks(self, magnitude: Tensor) -> Tensor:
        """Shaped (stems, channels, frames, bins), from (channels, frames, bins)."""
        count = magnitude.shape[1]
        seen = torch.nn.functional.pad(magnitude[..., :BINS], (0, 0, 0, FRAMES - count))
        squares = torch.cat([network(seen[None]) for network in self._networks])[:, :, :count] ** 2
        masks = (squares + FAINTEST / 2) / (squares.sum(dim=0) + FAINTEST)
        # The networks were shown nothing above: there every frame has its mean.
        above = masks.mean(dim=-1, keepdim=True)
        return torch.cat([masks, above.expand(*above.shape[:-1], len(magnitude[0, 0]) - BINS)], -1)

    def _overlapped(self, frames: Tensor) -> StemSamples:
        parts = frames.reshape(*frames.shape[:-1], WINDOW // HOP, HOP)
        steps = parts.shape[-3] + WINDOW // HOP - 1
        added = frames.new_zeros(*parts.shape[:-3], steps, HOP)
        for place in range(WINDOW // HOP):
            added[..., place : place + parts.shape[-3], :] += parts[..., place, :]
        return np.asarray((added.flatten(-2) / SQUARES).cpu().numpy(), dtype=np.float32)


def _network(model: Model, path: Path | None, name: str) -> StemNetwork:
    network = StemNetwork()
    try:
        if path is None:
            raise UnreadableTensors("it has no source")
        network.load_state_dict(state_of(path / name))
    except (UnreadableTensors, RuntimeError) as error:
        raise BackendUnavailable(
            f"model {model.id!r} is no Spleeter model of two stems: {name}: "
            + str(error).split("\n", maxsplit=1)[0],
            remedy=f"its source must be a directory with {' and '.join(FILES)}",
            provider="spleeter",
        ) from error
    return network.eval().requires_grad_(requires_grad=False)
