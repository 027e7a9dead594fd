"""Tiny checkpoints of RIFE 4 in the published kinds, written down by name and shape, and some that
know what moves how.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

WIDTH = 8
CONVOLUTIONS = 8

State = dict[str, Tensor]


@dataclass(frozen=True)
class Kind:
    """What one published RIFE 4 differs in from others. `outputs` are channels of a block, `head`
    the layers that find features.
    """

    name: str
    outputs: int = 6
    head: tuple[str, ...] = ()
    features: int = 0
    hints: int = 0
    blocks: int = 4
    groups: int = 1
    is_residual: bool = True
    has_slopes: bool = False
    last_width: int = WIDTH
    multiple_px: int = 32

    @property
    def shown(self) -> int:
        """Channels of both images and their features."""
        return 6 + 2 * self.features


PLAIN, DEEP = ("0", "1"), ("0", "2", "4", "6")
NAMED = ("cnn0", "cnn1", "cnn2", "cnn3")
KINDS = {
    kind.name: kind
    for kind in (
        Kind("4.0", 5, is_residual=False, has_slopes=True, multiple_px=64),
        Kind("4.2", 5, is_residual=False),
        Kind("4.5", 5),
        Kind("4.6"),
        Kind("4.7", head=PLAIN, features=4),
        Kind("4.10", head=DEEP, features=8),
        Kind("4.13", head=NAMED, features=8),
        Kind("4.14.lite", head=NAMED, features=8, groups=2),
        Kind("4.22", 13, head=NAMED, features=8, hints=8),
        Kind("4.25", 13, head=NAMED, features=4, hints=8, blocks=5, multiple_px=64),
        Kind("4.25.lite", 13, NAMED, 4, 8, 5, last_width=24, multiple_px=128),
        Kind("4.26.heavy", 13, head=NAMED, features=16, hints=8, blocks=5, multiple_px=64),
    )
}
RESIDUAL = [kind for kind in KINDS.values() if kind.is_residual]


def random_state(kind: Kind, *, seed: int = 0) -> State:
    """All that the published file of this kind has, narrower."""
    draw = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=draw) * 0.05 for name, shape in shapes(kind).items()}


def shapes(kind: Kind) -> dict[str, tuple[int, ...]]:
    """The names are those of the published files."""
    found: dict[str, tuple[int, ...]] = {}
    for number in range(kind.blocks):
        width = kind.last_width if number == kind.blocks - 1 else WIDTH
        channels = kind.shown + 1 + (0 if number == 0 else 1 + kind.hints + 4)
        block = f"block{number}"
        _add_convolution(found, kind, f"{block}.conv0.0", (width // 2, channels, 3, 3))
        _add_convolution(found, kind, f"{block}.conv0.1", (width, width // 2, 3, 3))
        for layer in range(CONVOLUTIONS):
            name = f"{block}.convblock.{layer}"
            if kind.is_residual:
                _add_layer(found, f"{name}.conv", (width, width // kind.groups, 3, 3), width)
                found[f"{name}.beta"] = (1, width, 1, 1)
            else:
                _add_convolution(found, kind, name, (width, width, 3, 3))
        if kind.is_residual:
            outputs = 4 * kind.outputs
            _add_layer(found, f"{block}.lastconv.0", (width, outputs, 4, 4), outputs)
        else:
            _add_layer(found, f"{block}.lastconv", (width, kind.outputs, 4, 4), kind.outputs)
    for number, name in enumerate(kind.head):
        if number == len(kind.head) - 1:
            _add_layer(found, f"encode.{name}", (WIDTH, kind.features, 4, 4), kind.features)
        else:
            _add_layer(found, f"encode.{name}", (WIDTH, WIDTH if number else 3, 3, 3), WIDTH)
    return found


def _add_layer(
    found: dict[str, tuple[int, ...]], name: str, shape: tuple[int, ...], biases: int
) -> None:
    found[f"{name}.weight"], found[f"{name}.bias"] = shape, (biases,)


def _add_convolution(
    found: dict[str, tuple[int, ...]], kind: Kind, name: str, shape: tuple[int, ...]
) -> None:
    _add_layer(found, f"{name}.0", shape, shape[0])
    if kind.has_slopes:
        found[f"{name}.1.weight"] = (shape[0],)


def still_state(kind: Kind, *, mask: float = 0.0) -> State:
    """Nothing moves; every block adds `mask` to what the sigmoid is taken of."""
    state = random_state(kind)
    for number in range(kind.blocks):
        weight, bias = last_layer(kind, number)
        state[weight] = torch.zeros_like(state[weight])
        state[bias] = torch.zeros_like(state[bias])
        state[bias][outputs_of(kind, 4)] = mask
    return state


def moving_state(kind: Kind, *, right_px: int, down_px: int = 0, divisor: int = 1) -> State:
    """All that is seen moves so far from the first image to the second, and the network knows it:
    the time runs through one channel of its last block, which is told to look for motion at
    images `divisor` times smaller.

    At `share` what is seen there was `share * right_px` to the left in the first image, and is
    `(1 - share) * right_px` to the right in the second.
    """
    state = still_state(kind)
    number = kind.blocks - 1
    time = kind.shown
    entries = [(f"block{number}.conv0.0.0.weight", time), (f"block{number}.conv0.1.0.weight", 0)]
    for layer in range(CONVOLUTIONS):
        name = f"block{number}.convblock.{layer}.{'conv' if kind.is_residual else 0}"
        state[f"{name}.weight"].zero_()
        state[f"{name}.bias"].zero_()
        # The others add to what these are given.
        if not kind.is_residual and not kind.has_slopes:
            entries.append((f"{name}.weight", 0))
    for name, channel in entries:
        state[name].zero_()
        state[name][0, channel, 1, 1] = 1
    for layer in (0, 1):
        state[f"block{number}.conv0.{layer}.0.bias"].zero_()
    weight, bias = last_layer(kind, number)
    # The older kinds enlarge what they found once more, which doubles it.
    unit = divisor * (1 if kind.is_residual else 2)
    for output, distance in enumerate((right_px, down_px, right_px, down_px)):
        places = outputs_of(kind, output)
        # Four parts of the layer's weights meet in each place.
        state[weight][0, places] = -distance / unit / 4
        state[bias][places] = distance / unit if output > 1 else 0
    return state


def last_layer(kind: Kind, number: int) -> tuple[str, str]:
    """Weights and biases of what a block says."""
    name = f"block{number}.lastconv" + (".0" if kind.is_residual else "")
    return f"{name}.weight", f"{name}.bias"


def outputs_of(kind: Kind, output: int) -> slice:
    """Where a channel that a block says is in its last layer, whose channels become pixels."""
    return slice(4 * output, 4 * output + 4) if kind.is_residual else slice(output, output + 1)


def save_rife(folder: Path, state: State, name: str = "flownet.pkl") -> Path:
    """As Practical-RIFE publishes it: trained in parallel, with a part that trained it."""
    folder.mkdir(parents=True, exist_ok=True)
    published = {f"module.{name}": value for name, value in state.items()}
    published["module.teacher.conv0.0.0.weight"] = torch.zeros(4, 3, 3, 3)
    published["module.caltime.0.bias"] = torch.zeros(8)
    torch.save(published, folder / name)
    return folder
