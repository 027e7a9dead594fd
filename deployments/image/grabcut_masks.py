"""Masks by GrabCut: what to believe before it, and what is left of it afterwards. Blocks."""

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from PIL import Image

from deployments.image.segment_images import Mask
from serve_app.core.image.segmentation import Box, Point, Prompt
from serve_app.core.message import Progress

Array = np.ndarray[Any, np.dtype[Any]]
Stop = Callable[[], bool]

WORK_PX = 640
"""The longer side at which colours are told apart: half a second per object on two cores."""
ITERATIONS = 5
FEWEST = 16
"""Pixels that a colour model of five Gaussians is made of."""
BORDER = 0.02
SEED = 0.01
"""The width of the border and the radius of a point, as parts of the longer side."""
LIKE = 12
"""How far in each channel of Lab (0 to 255) a colour is taken for its neighbour's."""
CONTRAST = 12.0
"""How far in Lab an object's colours must lie from the border's to be one."""
SMALLEST = 0.002
"""The least part of the image that is an object."""


def find_masks(image: Image.Image, prompts: list[Prompt], stop: Stop) -> Iterator[Progress | Mask]:
    """One mask per prompt, in their order; without prompts that of what stands out."""
    scale = min(1.0, WORK_PX / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.BOX) if scale < 1 else image
    pixels = np.ascontiguousarray(np.asarray(small)[..., ::-1])
    # GrabCut starts from k-means; the generator is this thread's own.
    cv2.setRNGSeed(0)
    if not prompts:
        yield Progress(phase="segment", current=0, total=1)
        for area in _salient(pixels, stop):
            yield _mask(area, pixels, image.size)
        return
    x_scale, y_scale = size[0] / image.width, size[1] / image.height
    for number, prompt in enumerate(prompts):
        if stop():
            return
        area = _pointed(pixels, _scaled(prompt, x_scale, y_scale), stop)
        yield Progress(phase="segment", current=number + 1, total=len(prompts))
        yield _mask(area, pixels, image.size)


def _pointed(pixels: Array, prompt: Prompt, stop: Stop) -> Array:
    """One object, as booleans."""
    seeds = _discs(pixels, [point for point in prompt.points if point.is_object])
    if prompt.box is not None:
        labels = _box_labels(pixels, prompt.box)
    else:
        labels = np.full(pixels.shape[:2], cv2.GC_PR_BGD, np.uint8)
        labels[_grown(pixels, prompt.points)] = cv2.GC_PR_FGD
    labels[seeds] = cv2.GC_FGD
    labels[_discs(pixels, [point for point in prompt.points if not point.is_object])] = cv2.GC_BGD
    area = _cut(pixels, labels, stop)
    return _parts_at(area, seeds) if seeds.any() else area


def _box_labels(pixels: Array, box: Box) -> Array:
    """Perhaps an object within the box and none outside of it; where there is no outside, the
    border of the image is perhaps none, unless that is all there is.
    """
    labels = np.full(pixels.shape[:2], cv2.GC_BGD, np.uint8)
    rows, columns = (
        slice(int(box.y1), int(np.ceil(box.y2))),
        slice(int(box.x1), int(np.ceil(box.x2))),
    )
    labels[rows, columns] = cv2.GC_PR_FGD
    if not (labels == cv2.GC_BGD).any() and min(labels.shape) >= FEWEST:
        labels[_border(pixels)] = cv2.GC_PR_BGD
    return labels


def _salient(pixels: Array, stop: Stop) -> list[Array]:
    """What differs from the image's border in colour, in connected parts, the best first."""
    distances = _distances(pixels, _border(pixels))
    grey = np.minimum(distances, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    likely = grey > max(threshold, CONTRAST)
    if not likely.any():
        return []
    labels = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    count, parts, facts, _ = cv2.connectedComponentsWithStats(
        _cut(pixels, labels, stop).astype(np.uint8), connectivity=4
    )
    smallest = max(FEWEST, SMALLEST * parts.size)
    areas = facts[:, cv2.CC_STAT_AREA]
    kept = [part for part in range(1, count) if areas[part] >= smallest]
    return [parts == part for part in sorted(kept, key=lambda part: -int(areas[part]))]


def _distances(pixels: Array, border: Array) -> Array:
    """How far in Lab every pixel is from the nearest of the border's main colours."""
    lab = cv2.cvtColor(pixels, cv2.COLOR_BGR2LAB).astype(np.float32)
    colours = lab[border]
    count = min(4, len(colours))
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 1.0)
    _, _, centres = cv2.kmeans(colours, count, None, criteria, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    nearest = np.full(pixels.shape[:2], np.inf, np.float32)
    for centre in centres:
        nearest = np.minimum(nearest, np.linalg.norm(lab - centre, axis=2))
    return nearest


def _cut(pixels: Array, labels: Array, stop: Stop) -> Array:
    """GrabCut from these labels, which it changes; with too few pixels of a kind they stay."""
    is_object = _objects(labels)
    if min(is_object.sum(), (~is_object).sum()) < FEWEST:
        return is_object
    models = np.zeros((1, 65)), np.zeros((1, 65))
    for step in range(ITERATIONS):
        if stop():
            break
        mode = cv2.GC_EVAL if step else cv2.GC_INIT_WITH_MASK
        cv2.grabCut(pixels, labels, None, *models, 1, mode)  # type: ignore[call-overload]
        now = _objects(labels)
        if min(now.sum(), (~now).sum()) < FEWEST or (now == is_object).all():
            return now
        is_object = now
    return is_object


def _objects(labels: Array) -> Array:
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _grown(pixels: Array, points: tuple[Point, ...]) -> Array:
    """What is connected to the object's points by like colours."""
    lab = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_BGR2LAB), (3, 3), 0)
    height, width = pixels.shape[:2]
    found = np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | 255 << 8
    for point in points:
        if point.is_object:
            seed = min(int(point.x), width - 1), min(int(point.y), height - 1)
            cv2.floodFill(lab, found, seed, 0, (LIKE,) * 3, (LIKE,) * 3, flags)
    return found[1:-1, 1:-1] > 0


def _discs(pixels: Array, points: list[Point]) -> Array:
    """The pixels around points."""
    discs = np.zeros(pixels.shape[:2], np.uint8)
    for point in points:
        centre = min(int(point.x), discs.shape[1] - 1), min(int(point.y), discs.shape[0] - 1)
        cv2.circle(discs, centre, round(SEED * max(discs.shape)), 1, cv2.FILLED)
    return discs > 0


def _border(pixels: Array) -> Array:
    border = np.ones(pixels.shape[:2], bool)
    width = max(1, round(BORDER * max(border.shape)))
    border[width:-width, width:-width] = False
    return border


def _parts_at(area: Array, seeds: Array) -> Array:
    """The connected parts that a seed lies in."""
    _, parts = cv2.connectedComponents(area.astype(np.uint8), connectivity=4)
    kept = np.unique(parts[seeds & area])
    return np.isin(parts, kept) & area


def _mask(area: Array, pixels: Array, size: tuple[int, int]) -> Mask:
    small = Image.fromarray(np.where(area, 255, 0).astype(np.uint8))
    smooth = small if small.size == size else small.resize(size, Image.Resampling.BILINEAR)
    return Mask(smooth.point(lambda value: 255 if value >= 128 else 0), _contrast(area, pixels))


def _contrast(area: Array, pixels: Array) -> float:
    """The Bhattacharyya distance, 0 to 1, of the object's colours from those around it."""
    reach = max(3, round(0.05 * max(area.shape)))
    grown = cv2.dilate(area.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    inside, around = (
        cv2.calcHist([pixels], [0, 1, 2], part.astype(np.uint8), [8, 8, 8], [0, 256] * 3)
        for part in (area, grown & ~area)
    )
    return float(cv2.compareHist(inside, around, cv2.HISTCMP_BHATTACHARYYA))


def _scaled(prompt: Prompt, x: float, y: float) -> Prompt:
    box = prompt.box
    return prompt.model_copy(
        update={
            "points": tuple(
                point.model_copy(update={"x": point.x * x, "y": point.y * y})
                for point in prompt.points
            ),
            "box": box and Box(x1=box.x1 * x, y1=box.y1 * y, x2=box.x2 * x, y2=box.y2 * y),
        }
    )
