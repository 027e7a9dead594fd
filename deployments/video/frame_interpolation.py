"""A video shown at a higher rate, in the same time: which frame is where, and how it is written.

Everything here blocks.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from deployments.media.image_decoding import check_pixels
from deployments.video.camera import covered
from deployments.video.flow_planes import dissolved
from deployments.video.motion import Motion, MotionFinder, Planes
from deployments.video.remade_video import (
    SLOWEST_FPS,
    RemadeFile,
    all_written,
    check_duration,
    video_warnings,
)
from deployments.video.running_ahead import ahead
from deployments.video.video_decoding import (
    BT709,
    MAX_PIXELS,
    Colours,
    ShownFrame,
    probed,
    shown_frames,
)
from deployments.video.video_encoding import VideoWriter, even_size, exact_rate, studio_frame
from deployments.video.video_files import image
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import Size
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.video.interpolation import MAX_FPS, PAIR_FPS, InterpolateVideo

AS_GIVEN = 0.02
"""What is this near to a given frame, as a share of the way to the next one, is that frame."""


class GivenFrame(NamedTuple):
    """A given frame and the second at which it is shown."""

    at_s: float
    planes: Planes


class FrameSource(NamedTuple):
    """Frames to put others between. With `has_cuts` unlike ones are two shots, else dissolved."""

    frames: Generator[GivenFrame]
    size: Size
    fps: float
    duration_s: float | None
    colours: Colours = BT709
    audio: Path | None = None
    has_cuts: bool = True
    warnings: tuple[Notice, ...] = ()


def video_source(path: Path, limit_s: float) -> FrameSource:
    """A video. InvalidRequest and PayloadTooLarge with `param` `video`."""
    video = probed(path, param="video")
    check_duration(video, limit_s)
    size = even_size(video.size)
    return FrameSource(
        frames=_stills(path, size, video.colours),
        size=size,
        fps=max(video.fps, SLOWEST_FPS),
        duration_s=video.duration_s,
        colours=video.colours,
        audio=path if video.has_audio else None,
        warnings=tuple(video_warnings(video)),
    )


def pair_source(first: Path, last: Path) -> FrameSource:
    """Two images; the second one takes on the size of the first. InvalidRequest and
    PayloadTooLarge with `param` `init_image` or `end_image`.
    """
    begin, end = image(first, param="init_image"), image(last, param="end_image")
    height, width = begin.shape[:2]
    check_pixels(width, height, param="init_image", max_pixels=MAX_PIXELS)
    fitted = covered(end, Size(width=width, height=height))

    def stills() -> Generator[GivenFrame]:
        for number, pixels in enumerate((begin, fitted)):
            yield GivenFrame(number / PAIR_FPS, planes_of(studio_frame(pixels)))

    is_cut = end.shape != begin.shape
    said = Notice(field="end_image", text="cropped and resized to the size of the first image")
    warnings = (said,) if is_cut else ()
    size = even_size(Size(width=width, height=height))
    return FrameSource(stills(), size, PAIR_FPS, 2 / PAIR_FPS, has_cuts=False, warnings=warnings)


def interpolated(
    source: FrameSource,
    target: Path,
    request: InterpolateVideo,
    finder: MotionFinder,
    stop: Callable[[], bool],
) -> Iterator[Progress | RemadeFile]:
    """Progress in frames, last what was written; ends early when told to stop."""
    rate = rate_of(source.fps, request)
    expected = round((source.duration_s or 0) * rate)
    with ExitStack() as stack:
        # Motion is sought while the frame before is encoded, and the next one decoded.
        stills = stack.enter_context(closing(ahead(source.frames)))
        made = between(source._replace(frames=stills), rate, finder)
        frames = stack.enter_context(closing(ahead(made)))
        writer = stack.enter_context(
            VideoWriter(
                target,
                source.size,
                fps=float(rate),
                audio=source.audio,
                colours=source.colours,
                keeps_audio=True,
            )
        )
        yield from all_written(
            writer,
            frames,
            lambda planes: writer.write_frame(frame_of(planes)),
            phase="interpolate",
            expected=expected,
            stop=stop,
        )
    if not stop():
        yield RemadeFile(
            writer.size, writer.fps, writer.num_frames, writer.duration_s, source.warnings
        )


def rate_of(fps: float, request: InterpolateVideo) -> Fraction:
    """The new rate. InvalidRequest with `param` `fps_multiplier` for one that is too high."""
    if request.output_fps is not None:
        return exact_rate(request.output_fps)
    rate = exact_rate(fps) * request.fps_multiplier
    if rate > MAX_FPS:
        raise InvalidRequest(
            f"{float(rate):g} frames per second are more than the allowed {MAX_FPS:g}",
            remedy="choose a lower multiplier, or a rate",
            param="fps_multiplier",
        )
    return rate


def between(source: FrameSource, rate: Fraction, finder: MotionFinder) -> Generator[Planes]:
    """The frame at each tick of the new rate. The last of the given ones is shown as long as the
    one before it, a single one as the source's `fps` says.
    """
    tick = 0
    lasts_s = 1 / source.fps
    held = next(source.frames)
    for still in source.frames:
        if still.at_s <= held.at_s:
            continue
        lasts_s = still.at_s - held.at_s
        way = _FramePair(held, still, source, finder)
        while (share := (tick / rate - held.at_s) / lasts_s) < 1 - AS_GIVEN:
            yield way.at(float(share))
            tick += 1
        held = still
    while tick / rate < held.at_s + lasts_s - 0.5 / rate:
        yield held.planes
        tick += 1


class _FramePair:
    """From one given frame to the next; nothing is looked for before it is needed."""

    def __init__(
        self, first: GivenFrame, second: GivenFrame, source: FrameSource, finder: MotionFinder
    ) -> None:
        self._first, self._second = first.planes, second.planes
        self._source, self._finder = source, finder
        self._motion: Motion | None = None

    def at(self, share: float) -> Planes:
        if share < AS_GIVEN:
            return self._first
        if self._motion is None:
            self._motion = self._finder.motion(self._first, self._second, self._source.colours)
        if not self._motion.is_cut:
            return self._motion.at(share)
        if self._source.has_cuts:
            return self._first if share < 0.5 else self._second
        return dissolved(self._first, self._second, share)


def planes_of(frame: Any) -> Planes:
    """A frame in yuv420p, whose sides are even."""
    height, width = frame.height, frame.width
    flat = frame.to_ndarray().reshape(-1)
    luma, chroma = height * width, height * width // 4
    half = (height // 2, width // 2)
    return Planes(
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(half),
        flat[luma + chroma :].reshape(half),
    )


def frame_of(planes: Planes) -> Any:
    """The other way round."""
    width = planes.y.shape[1]
    flat = np.concatenate([plane.reshape(-1) for plane in planes])
    return av.VideoFrame.from_ndarray(flat.reshape(-1, width), format="yuv420p")


def _stills(path: Path, size: Size, colours: Colours) -> Generator[GivenFrame]:
    with closing(shown_frames(path, param="video")) as frames:
        for shown in frames:
            yield GivenFrame(shown.at_s, planes_of(_planar(shown, size, colours)))


def _planar(shown: ShownFrame, size: Size, colours: Colours) -> Any:
    """In yuv420p and of the video's size; a video may change its own half-way."""
    if shown.is_plain and shown.frame.width % 2 == shown.frame.height % 2 == 0:
        frame = shown.frame
    else:
        frame = studio_frame(shown.pixels(), colours)
    return frame.reformat(size.width, size.height, "yuv420p")
