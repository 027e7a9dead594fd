"""Spleeter's networks (R. Hennequin et al., Spleeter: a fast and efficient music source separation
tool with pre-trained models, 2020): a U-Net per stem, which weighs a magnitude spectrum. Imported
only where torch is.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

CHANNELS = 2
WIDTHS = (16, 32, 64, 128, 256, 512)
"""Of the six steps down, each of which halves both axes."""
STEPS = len(WIDTHS)
FRAMES, BINS = 512, 1024
"""What a network is shown at a time; both are multiples of 2 ** STEPS."""


class StemNetwork(nn.Module):
    """The spectrum of one stem, from that of the mix. Its parts are named as in the weights that
    were converted from Spleeter's own.
    """

    def __init__(self) -> None:
        super().__init__()
        for step, (source, width) in enumerate(pairwise((CHANNELS, *WIDTHS)), start=1):
            self.add_module(f"down{step}_conv", _halved(source, width))
            self.add_module(f"down{step}_act", _levelled(width))
        widths = (*reversed(WIDTHS), 1)
        for step, (source, width) in enumerate(pairwise(widths), start=1):
            # From the second step on, what came of the same size on the way down is beside it.
            self.add_module(f"up{step}", _doubled(source if step == 1 else 2 * source, width))
        last = nn.Conv2d(1, CHANNELS, kernel_size=4, dilation=2, padding=3)
        self.up7 = nn.Sequential(last, nn.Sigmoid())

    @override
    def forward(self, mix: Tensor) -> Tensor:
        """Magnitudes shaped (batch, 2, FRAMES, BINS), both ways."""
        known: list[Tensor] = []
        found = mix
        for step in range(1, STEPS + 1):
            known.append(self.get_submodule(f"down{step}_conv")(found))
            if step < STEPS:
                found = self.get_submodule(f"down{step}_act")(known[-1])
        found = known.pop()
        for step in range(1, STEPS + 1):
            if step > 1:
                found = torch.cat([known.pop(), found], dim=1)
            found = self.get_submodule(f"up{step}")(found)
        weights: Tensor = self.up7(found)
        return weights * mix


class _Padded(nn.Module):
    """One row and column before and two after, as TensorFlow pads for a kernel of 5 and a step of
    2.
    """

    @override
    def forward(self, values: Tensor) -> Tensor:
        return functional.pad(values, (1, 2, 1, 2))


class _Trimmed(nn.Module):
    """Without what padding would have added."""

    @override
    def forward(self, values: Tensor) -> Tensor:
        return values[:, :, 1:-2, 1:-2]


def _halved(source: int, width: int) -> nn.Sequential:
    return nn.Sequential(_Padded(), nn.Conv2d(source, width, kernel_size=5, stride=2))


def _levelled(width: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(width, eps=1e-3), nn.LeakyReLU(0.2))


def _doubled(source: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(source, width, kernel_size=5, stride=2),
        _Trimmed(),
        nn.ReLU(),
        nn.BatchNorm2d(width, eps=1e-3),
    )
