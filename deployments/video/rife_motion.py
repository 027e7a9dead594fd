"""Images between two images in yuv420p by RIFE. Blocks.

The network is shown RGB and says where what is seen comes from; what is carried there are the
planes themselves, so that frames between are as bright and as coloured as those beside them.
"""

import threading
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from deployments.video.flow_planes import PlanesBetween
from deployments.video.motion import Motion, MotionFinder, Plane, Planes
from deployments.video.rife_network import RifeNetwork, warped
from deployments.video.video_decoding import BT709, Colours

BLACK, LUMA_LEVELS, CHROMA_LEVELS, GREY = 16.0, 219.0, 224.0, 128.0
"""Of 8 bits in studio range."""
LUMA_SHARES = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""What red and blue have in luma, by the matrices of ITU-T H.273."""


class RifeFinder(MotionFinder):
    """A MotionFinder. However many videos are made, one image at a time is looked for."""

    def __init__(self, network: RifeNetwork) -> None:
        self.network = network
        self.device = next(network.parameters()).device
        self.turn = threading.Lock()

    @override
    def motion(self, first: Planes, second: Planes, colours: Colours) -> "RifeMotion":
        return RifeMotion(self, first, second, colours)


class RifeMotion(Motion):
    """A Motion. Cuts are those that optical flow finds."""

    def __init__(self, finder: RifeFinder, first: Planes, second: Planes, colours: Colours) -> None:
        self._finder = finder
        self._planes = (first, second)
        self._colours = colours

    @override
    @cached_property
    def is_cut(self) -> bool:
        return PlanesBetween(*self._planes).is_cut

    @override
    def at(self, share: float) -> Planes:
        with self._finder.turn, torch.inference_mode():
            height, width = self._planes[0].y.shape
            flow, mask = self._finder.network(*self._seen, share)
            flow, mask = flow[..., :height, :width], mask[..., :height, :width]
            half, half_mask = functional.avg_pool2d(flow, 2) / 2, functional.avg_pool2d(mask, 2)
            luma = self._mixed("y", flow=flow, mask=mask)
            chroma = self._mixed("u", "v", flow=half, mask=half_mask)
        return Planes(*luma, *chroma)

    @cached_property
    def _seen(self) -> tuple[Tensor, Tensor]:
        network = self._finder.network
        multiple = network.layout.multiple_px
        first, second = (
            network.seen(padded(colour(planes, self._colours, self._finder.device), multiple))
            for planes in self._planes
        )
        return first, second

    def _mixed(self, *names: str, flow: Tensor, mask: Tensor) -> list[Plane]:
        """These planes of both images, carried to the moment."""
        first, second = (
            torch.stack([_plane(getattr(planes, name), flow.device) for name in names])[None]
            for planes in self._planes
        )
        first, second = warped(first, flow[:, :2]), warped(second, flow[:, 2:])
        mixed = torch.lerp(second, first, mask).round_().clamp_(0, 255)
        return [np.asarray(plane) for plane in mixed[0].to(torch.uint8).cpu().numpy()]


def colour(planes: Planes, colours: Colours, device: torch.device) -> Tensor:
    """RGB from 0 to 1 (1, 3, height, width)."""
    red_share, blue_share = LUMA_SHARES.get(colours.matrix, LUMA_SHARES[BT709.matrix])
    chroma = torch.stack([_plane(plane, device) for plane in planes[1:]])[None]
    chroma = functional.interpolate(chroma, planes.y.shape, mode="bilinear", align_corners=False)
    luma = (_plane(planes.y, device) - BLACK) / LUMA_LEVELS
    blue_off, red_off = (chroma[0] - GREY) / CHROMA_LEVELS
    red = luma + 2 * (1 - red_share) * red_off
    blue = luma + 2 * (1 - blue_share) * blue_off
    green = (luma - red_share * red - blue_share * blue) / (1 - red_share - blue_share)
    return torch.stack((red, green, blue))[None].clamp_(0, 1)


def padded(image: Tensor, multiple_px: int) -> Tensor:
    """With its last column and row repeated until the sides are multiples."""
    height, width = image.shape[2:]
    return functional.pad(
        image, (0, -width % multiple_px, 0, -height % multiple_px), mode="replicate"
    )


def _plane(plane: Plane, device: torch.device) -> Tensor:
    return torch.tensor(plane, device=device).float()
