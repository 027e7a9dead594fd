"""What ZoeDepth tells of an image, at the image's size.

Its processor adds borders to images and can take them off its answers only with torchvision.
"""

import math

import torch
from torch.nn.functional import interpolate

BORDERS = 3
"""Every side gets as many times the root of half its length, as ZoeDepth was trained."""


def without_padding(
    depth: torch.Tensor, seen: tuple[int, int], size: tuple[int, int], *, is_padded: bool
) -> torch.Tensor:
    """`depth` is one map, 1 by height by width, of an image that was `seen` at that height and
    width; the answer is a map of `size`.
    """
    border = [int(math.sqrt(side / 2) * BORDERS) if is_padded else 0 for side in seen]
    whole = [side + 2 * added for side, added in zip(seen, border, strict=True)]
    maps = interpolate(depth[None].float(), whole, mode="bicubic", align_corners=False)
    rows, columns = (slice(added, added + side) for side, added in zip(seen, border, strict=True))
    return interpolate(maps[..., rows, columns], size, mode="bicubic", align_corners=False)[0, 0]
