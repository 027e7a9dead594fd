"""Weights of RIFE 4 from a file: which kind they are is read from their names and shapes, and they
fit whole or not at all.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from deployments.tensor_files import PARALLEL, UnreadableTensors, restricted_content
from deployments.video.rife_network import FLOW, MASK, HeadLayout, Layout, RifeNetwork
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable

SUFFIXES = (".safetensors", ".pkl", ".pth", ".pt")
"""The safest first."""
PUBLISHED_NAME = "flownet"
TRAINING = ("teacher.", "caltime.", "block_tea.", "contextnet.", "unet.")
"""Parts that published weights hold and that are used to train only."""
SCALES = {4: (8, 4, 2, 1), 5: (16, 8, 4, 2, 1)}
LITE_WIDTH, LITE_SCALES = 24, (32, 16, 8, 4, 1)
"""4.25 lite has the shapes of 4.25 but for its last block, and scales of its own."""
HEAD_NAMES = {
    "encode.cnn0.weight": ("cnn0", "cnn1", "cnn2", "cnn3"),
    "encode.6.weight": ("0", "2", "4", "6"),
    "encode.0.weight": ("0", "1"),
}
"""By a name that only weights of that kind have, those that have more of them first."""


class UnfitWeights(Exception):
    """What is wrong with the weights; names the first part that does not fit."""


def weights_file(model: Model, path: Path) -> Path:
    """The file itself, or the one in a directory. BackendUnavailable when it is not clear."""
    if path.is_file():
        return path
    for suffix in SUFFIXES:
        files = sorted(path.rglob(f"*{suffix}"))
        found = [file for file in files if file.stem == PUBLISHED_NAME] or files
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(file.relative_to(path)) for file in found[:8])
            raise BackendUnavailable(
                f"model {model.id!r} has several weights files ({names})",
                remedy="set its source to one",
            )
    raise BackendUnavailable(
        f"model {model.id!r} has no weights file",
        remedy=(
            "set its source to the flownet.pkl of a RIFE 4, or to a directory that holds one file "
            f"of the kinds {', '.join(SUFFIXES)}"
        ),
    )


def loaded_network(
    model: Model, file: Path, *, device: torch.device, dtype: torch.dtype, divisor: int
) -> RifeNetwork:
    """Ready to be called. Motion is looked for at images `divisor` times smaller.
    BackendUnavailable for a file that cannot be read and for weights of anything else.
    """
    try:
        state = _state(file)
        network = _filled(_layout(state, divisor), state)
    except UnfitWeights as error:
        raise BackendUnavailable(
            f"model {model.id!r} is not a known RIFE 4 checkpoint: {error}",
            remedy="set its source to the flownet.pkl of a published RIFE 4",
        ) from error
    return network.to(device, dtype).eval().requires_grad_(requires_grad=False)


def _state(file: Path) -> dict[str, Tensor]:
    """Names without what training in parallel puts before them. Runs no code of the file."""
    try:
        content = restricted_content(file)
    except UnreadableTensors as error:
        raise UnfitWeights(str(error)) from error
    if not isinstance(content, Mapping):
        raise UnfitWeights(f"its file contains a {type(content).__name__}, not named weights")
    state = {str(name).removeprefix(PARALLEL): value for name, value in content.items()}
    state = {name: value for name, value in state.items() if not name.startswith(TRAINING)}
    for name, value in state.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise UnfitWeights(f"{name!r} is not a floating-point tensor")
    return state


def _layout(state: dict[str, Tensor], divisor: int) -> Layout:
    count = 5 if "block4.conv0.1.0.weight" in state else 4
    widths = tuple(_size(state, f"block{n}.conv0.1.0.weight", 0) for n in range(count))
    is_lite = count == 5 and widths[-1] == LITE_WIDTH
    scales = tuple(divisor * scale for scale in (LITE_SCALES if is_lite else SCALES[count]))
    head = _head(state)
    if "block0.lastconv.weight" in state:
        return Layout(
            widths,
            scales,
            outputs=FLOW + MASK,
            is_residual=False,
            has_slopes="block0.conv0.0.1.weight" in state,
            head=head,
        )
    inner = _size(state, "block0.convblock.0.conv.weight", 1)
    outputs = _size(state, "block0.lastconv.0.weight", 1) // 4
    groups = max(1, widths[0] // inner)
    return Layout(widths, scales, outputs=outputs, is_residual=True, groups=groups, head=head)


def _head(state: dict[str, Tensor]) -> HeadLayout | None:
    for name, names in HEAD_NAMES.items():
        if name in state:
            first, last = f"encode.{names[0]}.weight", f"encode.{names[-1]}.weight"
            return HeadLayout(names, _size(state, first, 0), _size(state, last, 1))
    return None


def _size(state: dict[str, Tensor], name: str, dimension: int) -> int:
    """Of the weights of a convolution."""
    if name not in state:
        strange = next((known for known in state if not known.startswith("block")), None)
        also = f", but has {strange!r}" if strange else ""
        raise UnfitWeights(f"it has no {name!r}{also}")
    shape = tuple(state[name].shape)
    if len(shape) != 4 or 0 in shape:
        raise UnfitWeights(f"{name!r} has the shape {shape}, not that of a convolution")
    return shape[dimension]


def _filled(layout: Layout, state: dict[str, Tensor]) -> RifeNetwork:
    """The network with these weights, all of them and no others."""
    try:
        with torch.device("meta"):
            network = RifeNetwork(layout)
    except ValueError as error:
        raise UnfitWeights(f"its shapes do not match ({error})") from error
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    missing = next((name for name in wanted if name not in state), None)
    if missing is not None:
        raise UnfitWeights(f"it has no {missing!r}")
    strange = next((name for name in state if name not in wanted), None)
    if strange is not None:
        raise UnfitWeights(f"it has {strange!r}, which no such network has")
    for name, value in state.items():
        if tuple(value.shape) != wanted[name]:
            raise UnfitWeights(f"{name!r} has the shape {tuple(value.shape)}, not {wanted[name]}")
    network.load_state_dict(state, assign=True)
    return network
