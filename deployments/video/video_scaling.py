"""Videos made larger, frame by frame: what every upscaler does around its model.

A video takes no more memory than a few of its frames and what the encoder looks ahead.
"""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image
from typing_extensions import override

from deployments.file_making import file_events
from deployments.media.image_tiles import EnlargedImage
from deployments.video.remade_video import (
    LONGEST_SIDE_PX,
    RemadeFile,
    all_written,
    check_duration,
    timed_writer,
    video_warnings,
)
from deployments.video.running_ahead import ahead
from deployments.video.video_decoding import (
    MAX_PIXELS,
    Pixels,
    ProbedVideo,
    ShownFrame,
    probed,
    shown_frames,
)
from deployments.video.video_encoding import VideoWriter, even_size
from serve_app.core.errors import Cancelled, PayloadTooLarge
from serve_app.core.image.images import Size
from serve_app.core.image.upscaling import UpscaledVideo, UpscaleVideo, VideoUpscaleEvent
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.runtime.threads import in_turn

Stop = Callable[[], bool]


class ScaledFrame(NamedTuple):
    """`frame` is yuv420p in the colours of the video, `pixels` RGB; one of them is there."""

    frame: Any = None
    pixels: Pixels | None = None
    warnings: tuple[Notice, ...] = ()


class FrameScaler(Protocol):
    """Blocks. Raises Cancelled soon after being told to stop."""

    def __call__(
        self, shown: ShownFrame, video: ProbedVideo, factor: int, stop: Stop
    ) -> ScaledFrame:
        """A frame, upright and `factor` times the size of the video."""
        ...


class ResampledFrames(FrameScaler):
    """One video's frames resized by libswscale, in the planes that they were decoded to where that
    is right.
    """

    def __init__(self, kind: Interpolation, *warnings: Notice) -> None:
        self._kind = kind
        self._warnings = warnings
        # Prepared once: the tables of a filter take longer to make than a small frame to resize.
        self._reformatter = VideoReformatter()

    @override
    def __call__(
        self,
        shown: ShownFrame,
        video: ProbedVideo,
        factor: int,
        stop: Stop,
    ) -> ScaledFrame:
        width, height = video.size.width * factor, video.size.height * factor
        if shown.is_plain and width % 2 == height % 2 == 0:
            frame = self._resized(shown.frame, width, height, "yuv420p")
            return ScaledFrame(frame=frame, warnings=self._warnings)
        plain: Any = av.VideoFrame.from_ndarray(shown.pixels(), format="rgb24")
        resized = self._resized(plain, width, height, "rgb24")
        return ScaledFrame(pixels=resized.to_ndarray(), warnings=self._warnings)

    def _resized(self, frame: Any, width: int, height: int, format: str) -> Any:
        return self._reformatter.reformat(frame, width, height, format, interpolation=self._kind)


class EnlargedFrames(FrameScaler):
    """Frames enlarged as images are; `executor` is what the model's calls run in, so that
    images and videos take turns.
    """

    def __init__(
        self,
        enlarge: Callable[[Image.Image, int], Iterator[Progress | EnlargedImage]],
        executor: Executor,
    ) -> None:
        self._enlarge = enlarge
        self._executor = executor

    @override
    def __call__(
        self, shown: ShownFrame, video: ProbedVideo, factor: int, stop: Stop
    ) -> ScaledFrame:
        """BackendUnavailable when the executor is shut down."""
        image = Image.fromarray(shown.pixels())
        size = (video.size.width, video.size.height)
        image = image if image.size == size else image.resize(size)
        made = in_turn(self._executor, lambda: self._enlarged(image, factor, stop))
        return ScaledFrame(pixels=np.asarray(made.image), warnings=made.warnings)

    def _enlarged(self, image: Image.Image, factor: int, stop: Stop) -> EnlargedImage:
        for item in self._enlarge(image, factor):
            if isinstance(item, EnlargedImage):
                return item
            if stop():
                break
        raise Cancelled("the work was cancelled")


class VideoScaling:
    """The verb of an Upscaler for videos."""

    def __init__(self, scale: FrameScaler, *, engine: str, blobs: BlobStore) -> None:
        self._scale = scale
        self._engine = engine
        self._blobs = blobs

    def upscale_video(self, request: UpscaleVideo) -> AsyncGenerator[VideoUpscaleEvent]:
        """Progress in frames, last the video, with the times and the audio of the first."""
        return file_events(
            self._blobs,
            [request.video],
            lambda paths, target, stop: scaled(paths[0], target, request, self._scale, stop),
            mime="video/mp4",
            result=lambda blob, made: UpscaledVideo(
                video=blob, engine=self._engine, **made._asdict()
            ),
        )


def scaled(
    source: Path, target: Path, request: UpscaleVideo, scale: FrameScaler, stop: Stop
) -> Iterator[Progress | RemadeFile]:
    """Progress in frames, last what was written to `target`. Blocks; ends early when told to stop.

    InvalidRequest and PayloadTooLarge with `param` `video` or `factor`.
    """
    video = probed(source, param="video")
    check_duration(video, request.max_duration_s)
    size = _size(video, request.factor)
    warnings = dict.fromkeys(video_warnings(video))
    with ExitStack() as stack:
        # Frames are scaled while the one before is encoded.
        frames = stack.enter_context(
            closing(ahead(_scaled_frames(source, video, request, scale, stop)))
        )
        writer = stack.enter_context(timed_writer(target, size, video, source))

        def write(frame: tuple[float, ScaledFrame]) -> None:
            at_s, made = frame
            warnings.update(dict.fromkeys(made.warnings))
            write_scaled(writer, made, at_s)

        expected = video.num_frames or 0
        yield from all_written(writer, frames, write, phase="upscale", expected=expected, stop=stop)
    if not stop():
        yield RemadeFile(
            writer.size, video.fps, writer.num_frames, writer.duration_s, tuple(warnings)
        )


def _scaled_frames(
    source: Path, video: ProbedVideo, request: UpscaleVideo, scale: FrameScaler, stop: Stop
) -> Generator[tuple[float, ScaledFrame]]:
    with closing(shown_frames(source, param="video")) as frames:
        for shown in frames:
            yield shown.at_s, scale(shown, video, request.factor, stop)


def write_scaled(writer: VideoWriter, made: ScaledFrame, at_s: float) -> None:
    """The next frame of a video whose frames have times."""
    if made.pixels is None:
        writer.write_frame(made.frame, at_s=at_s)
    else:
        writer.write(made.pixels, at_s=at_s)


def _size(video: ProbedVideo, factor: int) -> Size:
    size = Size(width=video.size.width * factor, height=video.size.height * factor)
    even = even_size(size)
    if even.width * even.height > MAX_PIXELS or max(even.width, even.height) > LONGEST_SIDE_PX:
        raise PayloadTooLarge(
            f"a video of {even.width}x{even.height} is more than the allowed {MAX_PIXELS} "
            f"pixels, or than {LONGEST_SIDE_PX} on a side",
            param="factor",
        )
    return size
