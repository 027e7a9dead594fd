"""Where a camera looks while it moves over an image: geometry only, in shares of the image."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from serve_app.core.image.images import Size
from serve_app.core.video.generation import CameraMotion

Matrix = np.ndarray[Any, np.dtype[np.float64]]

ZOOM = 0.35
TRAVEL = 0.3
TURN_DEGREES = 12.0
CLOSEST = 3.0


@dataclass(frozen=True)
class CameraView:
    """The window that is shown: its centre in shares of the image's sides, how many times it is
    smaller than the image, and by how many radians it is turned, clockwise as it is seen.
    """

    x: float = 0.5
    y: float = 0.5
    zoom: float = 1.0
    angle: float = 0.0


def eased(share: float) -> float:
    """A share of the time as a share of the way: slow, fast, slow."""
    return (1 - math.cos(math.pi * min(1.0, max(0.0, share)))) / 2


def view(
    motion: CameraMotion | None,
    way: float,
    *,
    amount: float,
    focus: tuple[float, float],
    size: Size,
) -> CameraView:
    """The window at a share of the way. `amount` 1 is the usual distance. `focus` is what a zoom
    goes to, and where a pan lies across its direction. The window never leaves the image.
    """
    match motion:
        case None:
            return CameraView()
        case "zoom-in" | "zoom-out":
            zoom = 1 + ZOOM * amount * (way if motion == "zoom-in" else 1 - way)
            return _inside(focus, min(zoom, CLOSEST))
        case "pan-left" | "pan-right":
            along = way if motion == "pan-right" else 1 - way
            return _inside((along, focus[1]), 1 + TRAVEL * amount)
        case "tilt-up" | "tilt-down":
            along = way if motion == "tilt-down" else 1 - way
            return _inside((focus[0], along), 1 + TRAVEL * amount)
        case "rotate":
            reach = math.radians(TURN_DEGREES) * amount
            window = _turnable(reach / 2, size)
            return CameraView(zoom=window, angle=reach * (way - 0.5))


def matrix(view: CameraView, size: Size, scale: float) -> Matrix:
    """From the pixels of the shown frame to those of an image of `scale` times its size."""
    step = scale / view.zoom
    cos, sin = step * math.cos(view.angle), step * math.sin(view.angle)
    centre_x, centre_y = view.x * size.width * scale, view.y * size.height * scale
    half_x, half_y = (size.width - 1) / 2, (size.height - 1) / 2
    # Pixels lie half a step from the corner.
    return np.array(
        [
            [cos, sin, centre_x - 0.5 - cos * half_x - sin * half_y],
            [-sin, cos, centre_y - 0.5 + sin * half_x - cos * half_y],
        ]
    )


def _inside(point: tuple[float, float], zoom: float) -> CameraView:
    """The window that lies to the image's edges as the point does."""
    room = 1 - 1 / zoom
    return CameraView(x=0.5 + (point[0] - 0.5) * room, y=0.5 + (point[1] - 0.5) * room, zoom=zoom)


def _turnable(angle: float, size: Size) -> float:
    """The least zoom at which a window turned by `angle` stays inside the image."""
    angle = abs(angle)
    cos, sin = math.cos(angle), math.sin(angle)
    ratio = size.width / size.height
    return max(cos + sin / ratio, cos + sin * ratio)
