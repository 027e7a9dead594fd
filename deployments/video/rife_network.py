"""The network of RIFE 4, which says how two images move towards a moment between them.

Z. Huang et al., "Real-Time Intermediate Flow Estimation for Video Frame Interpolation" (ECCV 2022).
Names of parts, channels and activations are those of the weights that Practical-RIFE publishes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

FLOW, MASK = 4, 1
CONVOLUTIONS = 8
SLOPE = 0.2
FAR_PX = 32
"""The oldest kind looks again, at images of half the size, when both flows grow by more."""


@dataclass(frozen=True)
class HeadLayout:
    """What finds features of an image: `names` are those of its layers."""

    names: tuple[str, ...]
    hidden: int
    features: int


@dataclass(frozen=True)
class Layout:
    """What the published kinds of RIFE 4 differ in. `widths` and `scales` have one item per block;
    a block looks at images `scales` times smaller.

    With `is_residual` convolutions are added to what they are given, weighted; else they may have
    learned slopes (`has_slopes`, 4.0). `outputs` of a block are flow, mask and, where there are
    more than one other, hints for the next block.
    """

    widths: tuple[int, ...]
    scales: tuple[int, ...]
    outputs: int
    is_residual: bool
    has_slopes: bool = False
    groups: int = 1
    head: HeadLayout | None = None

    @property
    def hints(self) -> int:
        """How many channels a block hands to the next one."""
        others = self.outputs - FLOW - MASK
        return others if others > 1 else 0

    def channels(self, number: int) -> int:
        """What a block is shown: images and their features, time; then mask, hints and flow."""
        shown = 2 * (3 + (self.head.features if self.head else 0)) + 1
        return shown if number == 0 else shown + MASK + self.hints + FLOW

    @property
    def multiple_px(self) -> int:
        """The sides of images are multiples of it: every block halves them twice."""
        return 4 * max(self.scales) * (2 if self.has_slopes else 1)


class FlowEstimate(NamedTuple):
    """`flow` is where to look in the first image (x, y) and in the second, in pixels from here;
    `mask` is the first one's share, before the sigmoid.
    """

    flow: Tensor
    mask: Tensor
    hints: Tensor


class RifeNetwork(nn.Module):
    """Blocks from coarse to fine, each of which betters what the one before found."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        for number, width in enumerate(layout.widths):
            self.add_module(f"block{number}", _Block(layout.channels(number), width, layout))
        self.encode = _Head(layout.head) if layout.head else None

    def seen(self, image: Tensor) -> Tensor:
        """RGB from 0 to 1 (1, 3, height, width), and its features; sides as the layout wants."""
        if self.encode is None:
            return image
        return torch.cat((image, self.encode(image)), 1)

    def forward(self, first: Tensor, second: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Of two images as `seen`: the flow to the moment at `share` of the way, as in
        FlowEstimate, and the share of the first image, of which the rest is the second's.
        """
        scales = self.layout.scales
        found = self._estimated(first, second, share, scales)
        if found is None:
            doubled = tuple(2 * scale for scale in scales)
            found = self._estimated(first, second, share, doubled, is_far=True)
        assert found is not None
        return found.flow, torch.sigmoid(found.mask)

    def _estimated(
        self,
        first: Tensor,
        second: Tensor,
        share: float,
        scales: tuple[int, ...],
        *,
        is_far: bool = False,
    ) -> FlowEstimate | None:
        """None where it has to be looked for at a coarser scale, which is done once."""
        moment = torch.full_like(first[:, :1], share)
        found: FlowEstimate | None = None
        for number, scale in enumerate(scales):
            block = self.get_submodule(f"block{number}")
            if found is None:
                found = block(torch.cat((*_paired(first, second), moment), 1), scale)
                continue
            moved = _paired(warped(first, found.flow[:, :2]), warped(second, found.flow[:, 2:]))
            shown = torch.cat((*moved, moment, found.mask, found.hints, found.flow / scale), 1)
            step: FlowEstimate = block(shown, scale)
            looks_far = self.layout.has_slopes and number == 1 and not is_far
            if looks_far and bool((_reaches(step.flow) > FAR_PX).all()):
                return None
            # Kinds with a head find the mask anew, the others better it.
            mask = step.mask if self.encode else found.mask + step.mask
            found = FlowEstimate(found.flow + step.flow, mask, step.hints)
        return found


class _Head(nn.Module):
    def __init__(self, layout: HeadLayout) -> None:
        super().__init__()
        first, *inner, last = layout.names
        hidden = layout.hidden
        self.add_module(first, nn.Conv2d(3, hidden, 3, 2, 1))
        for name in inner:
            self.add_module(name, nn.Conv2d(hidden, hidden, 3, 1, 1))
        self.add_module(last, nn.ConvTranspose2d(hidden, layout.features, 4, 2, 1))
        self._is_linear = not inner

    def forward(self, image: Tensor) -> Tensor:
        layers = list(self.children())
        values: Tensor = layers[0](image.to(next(self.parameters()).dtype))
        for layer in layers[1:]:
            values = layer(values if self._is_linear else functional.leaky_relu(values, SLOPE))
        return values.float()


class _Block(nn.Module):
    def __init__(self, channels: int, width: int, layout: Layout) -> None:
        super().__init__()
        self._hints = layout.hints
        self.conv0 = nn.Sequential(
            _convolution(channels, width // 2, layout, stride=2),
            _convolution(width // 2, width, layout, stride=2),
        )
        self.convblock = nn.Sequential(
            *(
                _Residual(width, layout.groups)
                if layout.is_residual
                else _convolution(width, width, layout)
                for _ in range(CONVOLUTIONS)
            )
        )
        self._adds = layout.has_slopes
        self.lastconv: nn.Module
        if layout.is_residual:
            enlarging = nn.ConvTranspose2d(width, 4 * layout.outputs, 4, 2, 1)
            self.lastconv = nn.Sequential(enlarging, nn.PixelShuffle(2))
        else:
            self.lastconv = nn.ConvTranspose2d(width, layout.outputs, 4, 2, 1)

    def forward(self, shown: Tensor, scale: int) -> FlowEstimate:
        height, width = shown.shape[2:]
        values = _sized(shown, height // scale, width // scale)
        values = self.conv0(values.to(next(self.parameters()).dtype))
        convolved = self.convblock(values)
        found = self.lastconv(convolved + values if self._adds else convolved).float()
        factor = height // found.shape[2]
        found = _sized(found, height, width)
        flow, mask, others = found[:, :FLOW], found[:, FLOW : FLOW + MASK], found[:, FLOW + MASK :]
        return FlowEstimate(flow * factor, mask, others[:, : self._hints])


class _Residual(nn.Module):
    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1, groups=groups)
        self.beta = nn.Parameter(torch.ones((1, width, 1, 1)))

    def forward(self, values: Tensor) -> Tensor:
        added = self.conv(values) * self.beta + values
        return functional.leaky_relu(added, SLOPE)


def _convolution(channels: int, width: int, layout: Layout, *, stride: int = 1) -> nn.Sequential:
    activation = nn.PReLU(width) if layout.has_slopes else nn.LeakyReLU(SLOPE)
    return nn.Sequential(nn.Conv2d(channels, width, 3, stride, 1), activation)


def warped(values: Tensor, flow: Tensor) -> Tensor:
    """Values (1, channels, height, width) as they are at `flow` (x, y) from each place, in pixels;
    outside they are as at the border.
    """
    height, width = values.shape[2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[None, :, None]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)[None, None, :]
    places = torch.stack(
        (
            (columns + flow[:, 0]) * (2 / max(width - 1, 1)) - 1,
            (rows + flow[:, 1]) * (2 / max(height - 1, 1)) - 1,
        ),
        dim=3,
    )
    return functional.grid_sample(
        values, places, mode="bilinear", padding_mode="border", align_corners=True
    )


def _paired(first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
    """Images before features, as the blocks were trained."""
    return first[:, :3], second[:, :3], first[:, 3:], second[:, 3:]


def _reaches(flow: Tensor) -> Tensor:
    """The longest step into each of the two images."""
    return torch.stack((flow[:, :2].abs().amax(), flow[:, 2:].abs().amax()))


def _sized(values: Tensor, height: int, width: int) -> Tensor:
    if values.shape[2:] == (height, width):
        return values
    return functional.interpolate(values, (height, width), mode="bilinear", align_corners=False)
