"""A camera over images: cut to the video's proportions and seen through a window that moves."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from deployments.video.camera_paths import Matrix, eased, matrix, view
from serve_app.core.image.images import Size
from serve_app.core.video.generation import CameraMotion, VideoQuality

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

OVERSAMPLE = 1.25
"""How much finer than the video the image is that the window moves over, at most."""
SAMPLING: dict[VideoQuality, int] = {
    "draft": cv2.INTER_LINEAR,
    "fast": cv2.INTER_CUBIC,
    "best": cv2.INTER_LANCZOS4,
}


@dataclass(frozen=True)
class Camera:
    """`amount` 1 is the usual distance; `focus` is what it aims at, in shares of the image."""

    size: Size
    motion: CameraMotion | None
    amount: float
    focus: tuple[float, float]
    quality: VideoQuality

    def frames(self, images: Iterator[Pixels], count: int) -> Generator[Pixels]:
        """What is seen of each image, on a way that takes `count` of them."""
        shown: Pixels | None = None
        covering: Pixels | None = None
        scale = 1.0
        for number, image in enumerate(images):
            if self.motion is None or self.amount == 0:
                yield covered(image, self.size)
                continue
            if covering is None or image is not shown:
                scale = min(OVERSAMPLE, max(1.0, _fineness(image, self.size)))
                shown, covering = image, covered(image, self.size, scale=scale)
            way = eased(number / max(1, count - 1))
            window = view(self.motion, way, amount=self.amount, focus=self.focus, size=self.size)
            yield self._seen(covering, matrix(window, self.size, scale))

    def _seen(self, image: Pixels, way: Matrix) -> Pixels:
        seen = cv2.warpAffine(
            image,
            way,
            (self.size.width, self.size.height),
            flags=SAMPLING[self.quality] | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return np.asarray(seen, dtype=np.uint8)


def _fineness(image: Pixels, size: Size) -> float:
    """How many of its pixels there are along one of the video's."""
    height, width = image.shape[:2]
    return float(min(width / size.width, height / size.height))


def covered(image: Pixels, size: Size, *, scale: float = 1.0) -> Pixels:
    """The middle of an image in the proportions of `size`, at `scale` times its resolution."""
    height, width = image.shape[:2]
    target = (round(size.width * scale), round(size.height * scale))
    if (width, height) == target:
        return image
    share = min(width / target[0], height / target[1])
    cut_width, cut_height = max(1, round(target[0] * share)), max(1, round(target[1] * share))
    left, top = (width - cut_width) // 2, (height - cut_height) // 2
    cut = image[top : top + cut_height, left : left + cut_width]
    sampling = cv2.INTER_AREA if share > 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, target, interpolation=sampling), dtype=np.uint8)
