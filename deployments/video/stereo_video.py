"""Stereoscopic videos: the left view beside the right one, frame by frame.

A video takes no more memory than a few of its frames and what the encoder looks ahead.
"""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from deployments.file_making import file_events
from deployments.video.remade_video import (
    LONGEST_SIDE_PX,
    RemadeFile,
    all_written,
    check_duration,
    timed_writer,
    video_warnings,
)
from deployments.video.running_ahead import ahead
from deployments.video.steady_depth import SMALLEST_PX, Field, SteadyDepth
from deployments.video.stereo_views import stereo_pair
from deployments.video.video_decoding import (
    MAX_PIXELS,
    Pixels,
    ProbedVideo,
    probed,
    shown_frames,
)
from deployments.video.video_encoding import even_size
from serve_app.core.image.depth import ConvertToStereo, DepthMethod, StereoEvent, StereoVideo
from serve_app.core.image.images import Size
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice

Stop = Callable[[], bool]
FrameDepth = Callable[[Image.Image, Stop], Field]
"""How near everything in an image is, at its size: more is nearer, not finite is unknown. Blocks,
and may raise Cancelled when it is told to stop.
"""

PARALLAX = 0.02
"""Of a video's width: how far apart the eyes see the nearest."""
SEEN_PX = 960
"""Of the longer side of what depth is estimated in; models look at less."""
RIM = np.ones((3, 3), dtype=np.uint8)
"""Around what is near in a map: the pixels at its edge, which the map has half-way to what is
behind, move with it, and not half as far.
"""
FLAT = Notice(
    text="the depth model estimates the same distance everywhere; both views are the same"
)


class _Deep(NamedTuple):
    """A frame and how near what it shows is."""

    at_s: float
    pixels: Pixels
    near: Field


class StereoConversion:
    """The verb of a DepthEstimator for videos; `method` is the kind of its model, where it has a
    name.
    """

    def __init__(self, depth: FrameDepth, *, method: DepthMethod | None, blobs: BlobStore) -> None:
        self._depth = depth
        self._method = method
        self._blobs = blobs

    def convert_to_stereo(self, request: ConvertToStereo) -> AsyncGenerator[StereoEvent]:
        """Progress in frames, last the video with a view for each eye side by side."""

        def result(blob: Blob, made: RemadeFile) -> StereoVideo:
            warnings = (*self._method_warnings(request), *made.warnings)
            return StereoVideo(video=blob, **made._asdict() | {"warnings": warnings})

        return file_events(
            self._blobs,
            [request.video],
            lambda paths, target, stop: stereoscopic(
                paths[0], target, self._depth, stop, limit_s=request.max_duration_s
            ),
            mime="video/mp4",
            result=result,
        )

    def _method_warnings(self, request: ConvertToStereo) -> tuple[Notice, ...]:
        if request.method in (None, self._method):
            return ()
        kind = repr(self._method) if self._method else "of another kind"
        said = (
            f"no depth model of the kind {request.method!r} is available; {request.model!r} was "
            f"used, which is {kind}"
        )
        return (Notice(text=said),)


def stereoscopic(
    source: Path, target: Path, depth: FrameDepth, stop: Stop, *, limit_s: float
) -> Iterator[Progress | RemadeFile]:
    """Progress in frames, last what was written to `target`. Blocks; ends early when told to stop.

    InvalidRequest and PayloadTooLarge with `param` `video`.
    """
    video = probed(source, param="video")
    check_duration(video, limit_s)
    view_px, squeezed = view_size(video.size)
    steady = SteadyDepth()
    with ExitStack() as stack:
        # A frame is encoded while the next one is moved and the one after it is looked at.
        deep = stack.enter_context(closing(ahead(_deep_frames(source, video, depth, steady, stop))))
        frames = stack.enter_context(closing(ahead(_pairs(deep, view_px), depth=1)))
        both = Size(width=2 * view_px.width, height=view_px.height)
        writer = stack.enter_context(timed_writer(target, both, video, source))

        def write(frame: tuple[float, Pixels]) -> None:
            writer.write(frame[1], at_s=frame[0])

        expected = video.num_frames or 0
        yield from all_written(writer, frames, write, phase="stereo", expected=expected, stop=stop)
    if stop():
        return
    warnings = [*video_warnings(video), *squeezed, *([FLAT] if steady.is_flat else [])]
    yield RemadeFile(writer.size, video.fps, writer.num_frames, writer.duration_s, tuple(warnings))


def view_size(size: Size) -> tuple[Size, tuple[Notice, ...]]:
    """The size of one view, of even sides, so that they share no colour; and a warning
    where that is half of the video's width.
    """
    whole = even_size(size)
    if 2 * whole.width <= LONGEST_SIDE_PX and 2 * whole.width * whole.height <= MAX_PIXELS:
        return whole, ()
    half = even_size(Size(width=(whole.width + 1) // 2, height=whole.height))
    said = (
        f"each view has half of the video's width, because H.264 does not support "
        f"{2 * whole.width}x{whole.height}"
    )
    return half, (Notice(text=said),)


def _deep_frames(
    source: Path, video: ProbedVideo, depth: FrameDepth, steady: SteadyDepth, stop: Stop
) -> Generator[_Deep]:
    size = (video.size.width, video.size.height)
    shrink = min(1.0, SEEN_PX / max(size))
    seen = (max(SMALLEST_PX, round(size[0] * shrink)), max(SMALLEST_PX, round(size[1] * shrink)))
    with closing(shown_frames(source, param="video")) as frames:
        for shown in frames:
            if stop():
                return
            pixels = _sized(shown.pixels(), size)
            small = _sized(pixels, seen)
            grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
            near = steady.at(depth(Image.fromarray(small), stop), grey, shown.at_s)
            rimmed = np.asarray(cv2.dilate(near, RIM), dtype=np.float32)
            yield _Deep(shown.at_s, pixels, rimmed)


def _pairs(frames: Iterator[_Deep], view_px: Size) -> Generator[tuple[float, Pixels]]:
    """What both eyes see, side by side."""
    for frame in frames:
        parallax_px = PARALLAX * frame.pixels.shape[1]
        views = stereo_pair(frame.pixels, frame.near, parallax_px=parallax_px)
        yield frame.at_s, np.concatenate([_fitted(view, view_px) for view in views], axis=1)


def _fitted(view: Pixels, view_px: Size) -> Pixels:
    """Squeezed to the size of a view, or its odd sides made even by repeating the last pixels."""
    height, width = view.shape[:2]
    if view_px.width < width:
        view = _sized(view, (view_px.width, height))
        width = view_px.width
    beside, below = view_px.width - width, view_px.height - height
    return np.pad(view, ((0, below), (0, beside), (0, 0)), mode="edge")


def _sized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """`size` is width and height."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
