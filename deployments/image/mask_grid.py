"""Everything in an image from a model that has to be pointed: a grid of points, and which of the
masks found there are good, and not found twice. As in "Segment Anything", 2023, appendix B.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

MIN_SCORE = 0.88
MIN_STABILITY = 0.95
STABILITY_OFFSET = 1.0
MAX_OVERLAP = 0.7
"""Of two boxes, as intersection over union; the mask with the lower score goes."""


def grid_points(side: int, size: tuple[int, int]) -> list[tuple[float, float]]:
    """The middles of `side` by `side` equal fields of an image, row by row."""
    width, height = size
    steps = [(number + 0.5) / side for number in range(side)]
    return [(x * width, y * height) for y in steps for x in steps]


class MaskCandidates:
    """The good masks so far, as logits of one size, of which the first rows and columns show the
    image, as a part of 1 each.
    """

    def __init__(self, rows: float, columns: float) -> None:
        self._rows = rows
        self._columns = columns
        self._masks: list[torch.Tensor] = []
        self._scores: list[float] = []
        self._boxes: list[tuple[int, int, int, int]] = []

    def add(self, masks: torch.Tensor, scores: torch.Tensor) -> None:
        """Take the good ones of a batch, shaped (masks, height, width) and (masks,)."""
        shown = self._shown(masks)
        kept = (scores > MIN_SCORE) & (_stability(shown) > MIN_STABILITY)
        for mask, score in zip(masks[kept], scores[kept], strict=True):
            box = _box(self._shown(mask) > 0)
            if box is not None:
                # A copy, because a view would keep the whole batch in memory.
                self._masks.append(mask.clone())
                self._scores.append(float(score))
                self._boxes.append(box)
        self._thin()

    def best(self) -> Iterator[tuple[torch.Tensor, float]]:
        """The masks with their scores, best first."""
        yield from zip(self._masks, self._scores, strict=True)

    def _shown(self, masks: torch.Tensor) -> torch.Tensor:
        height, width = masks.shape[-2:]
        rows, columns = round(height * self._rows), round(width * self._columns)
        return masks[..., : max(1, rows), : max(1, columns)]

    def _thin(self) -> None:
        """Non-maximum suppression by boxes."""
        kept = suppressed(self._boxes, self._scores)
        self._masks = [self._masks[number] for number in kept]
        self._scores = [self._scores[number] for number in kept]
        self._boxes = [self._boxes[number] for number in kept]


def suppressed(boxes: list[tuple[int, int, int, int]], scores: list[float]) -> list[int]:
    """The numbers of the boxes that no better one covers by more than `MAX_OVERLAP`, best first."""
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    waiting = np.argsort(np.negative(scores), kind="stable")
    kept: list[int] = []
    while len(waiting):
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        waiting = waiting[_overlaps(corners[best], corners[waiting]) <= MAX_OVERLAP]
    return kept


def _overlaps(
    box: "np.ndarray[Any, np.dtype[np.float64]]", others: "np.ndarray[Any, np.dtype[np.float64]]"
) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Intersection over union of a box with each of the others."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    overlaps: np.ndarray[Any, np.dtype[np.float64]]
    overlaps = shared / (np.prod(box[2:] - box[:2]) + areas - shared)
    return overlaps


def _stability(masks: torch.Tensor) -> torch.Tensor:
    """How little a mask changes when its threshold is moved: intersection over union."""
    inner = (masks > STABILITY_OFFSET).flatten(1).sum(1)
    outer = (masks > -STABILITY_OFFSET).flatten(1).sum(1)
    return inner / outer.clamp(min=1)


def _box(mask: torch.Tensor) -> tuple[int, int, int, int] | None:
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
