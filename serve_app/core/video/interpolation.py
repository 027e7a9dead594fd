"""Interpolation: frames put between those of a video, or between two images."""

from collections.abc import AsyncIterator
from typing import Protocol

from pydantic import Field

from serve_app.core.engine import Engine
from serve_app.core.image.remade_videos import RemadeVideo
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.operation import Operation

MAX_FPS = 240.0
PAIR_FPS = 2.0
"""Two images are taken for a video of two frames at this rate."""


class InterpolatedVideo(RemadeVideo):
    """An MP4 with H.264 in yuv420p at a steady rate, with the video's audio; `engine` made it."""

    engine: str


class InterpolateVideo(Operation[InterpolatedVideo]):
    """Show more frames in the same time: of `video`, or from `init_image` to `end_image`.

    The rate is `output_fps`, by default that of the source times `fps_multiplier`. Sources of more
    than `max_duration_s` are refused.
    """

    name, task, verb = "video.interpolate", "interpolation", "interpolate"

    model: str
    video: Blob | None = None
    init_image: Blob | None = None
    end_image: Blob | None = None
    fps_multiplier: int = Field(default=2, ge=2, le=8)
    output_fps: float | None = Field(default=None, ge=1, le=MAX_FPS)
    max_duration_s: float = Field(default=7200, gt=0)


InterpolationEvent = Progress | InterpolatedVideo


class Interpolator(Engine, Protocol):
    """Puts frames between frames."""

    def interpolate(self, request: InterpolateVideo) -> AsyncIterator[InterpolationEvent]:
        """Progress in frames, last the video. InvalidRequest and PayloadTooLarge with `param`
        `video`, `init_image`, `end_image`, `fps_multiplier` or `output_fps`.
        """
        ...
