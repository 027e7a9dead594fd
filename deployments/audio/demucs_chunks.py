"""Audio of any length through Demucs: overlapping chunks, of which few are held at a time.

The chunks, their weights and their sum are those of `demucs.apply.apply_model` with `split=True`,
which wants the whole audio and gives all stems of it at once.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from demucs.apply import BagOfModels, TensorChunk, apply_model

from deployments.audio.audio_samples import Samples

Stems = np.ndarray[Any, np.dtype[np.float32]]
"""Shaped (sources, channels, samples)."""


class ChunkedSeparation:
    """One audio file on its way."""

    def __init__(self, bag: BagOfModels, device: torch.device, *, overlap: float) -> None:
        self._bag = bag
        self._device = device
        models: Any = bag.models
        segment = min(float(model.segment) for model in models)
        self._length = int(bag.samplerate * segment)
        self._stride = int((1 - overlap) * self._length)
        half = self._length // 2
        slope = torch.cat([torch.arange(1, half + 1), torch.arange(self._length - half, 0, -1)])
        self._weight = slope / slope.max()
        self._mix = torch.zeros(bag.audio_channels, 0)
        self._first = 0

    def separated(self, blocks: Iterator[Samples], stop: Callable[[], bool]) -> Iterator[Stems]:
        """The stems in pieces that follow each other. `blocks` have the model's channels and rate,
        and mean and deviation as it was trained for; ends early when told to stop.
        """
        shape = (len(self._bag.sources), self._bag.audio_channels, self._length)
        total, weights = torch.zeros(shape), torch.zeros(self._length)
        offset = 0
        while self._holds(offset, blocks):
            if stop():
                return
            found = self._applied(offset)
            size = found.shape[-1]
            total[..., :size] += self._weight[:size] * found
            weights[:size] += self._weight[:size]
            ready = min(self._stride, size)
            yield (total[..., :ready] / weights[:ready]).numpy()
            total = torch.nn.functional.pad(total[..., ready:], (0, ready))
            weights = torch.nn.functional.pad(weights[ready:], (0, ready))
            offset += self._stride

    def _holds(self, offset: int, blocks: Iterator[Samples]) -> bool:
        """Take what the chunk at `offset` needs; whether anything is there. What lies a chunk
        before it is kept, because the last chunk is filled up with it.
        """
        outdated = max(0, offset - self._length - self._first)
        parts = [self._mix[:, outdated:]]
        self._first += outdated
        held = parts[0].shape[1]
        while self._first + held < offset + self._length:
            block = next(blocks, None)
            if block is None:
                break
            parts.append(torch.from_numpy(block))
            held += block.shape[1]
        self._mix = torch.cat(parts, dim=1)
        return self._first + held > offset

    def _applied(self, offset: int) -> torch.Tensor:
        chunk = TensorChunk(  # type: ignore[no-untyped-call]
            self._mix[None], offset - self._first, self._length
        )
        found = apply_model(self._bag, chunk, shifts=0, split=False, device=self._device)
        return found[0].cpu()
