"""An interpolation from stored media to a stored video, whatever makes the frames between."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path

from deployments.file_making import file_events
from deployments.video.frame_interpolation import interpolated, pair_source, video_source
from deployments.video.motion import MotionFinder
from deployments.video.remade_video import RemadeFile
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.core.video.interpolation import (
    InterpolatedVideo,
    InterpolateVideo,
    InterpolationEvent,
)


def interpolation_events(
    request: InterpolateVideo, finder: MotionFinder, blobs: BlobStore, *, engine: str
) -> AsyncGenerator[InterpolationEvent]:
    """Progress in frames, last the video, said to be made by `engine`."""
    return file_events(
        blobs,
        _given(request),
        lambda paths, target, stop: _written(request, paths, target, finder, stop),
        mime="video/mp4",
        result=lambda blob, made: InterpolatedVideo(video=blob, engine=engine, **made._asdict()),
    )


def _given(request: InterpolateVideo) -> list[Blob]:
    """The video, or the two images. InvalidRequest for neither and for one image alone."""
    if request.video is not None:
        return [request.video]
    if request.init_image is None and request.end_image is None:
        raise InvalidRequest("send a video, or a first and a last image", param="video")
    for name, blob in (("init_image", request.init_image), ("end_image", request.end_image)):
        if blob is None:
            raise InvalidRequest("two images are needed, a first and a last one", param=name)
    return [blob for blob in (request.init_image, request.end_image) if blob is not None]


def _written(
    request: InterpolateVideo,
    paths: Sequence[Path],
    target: Path,
    finder: MotionFinder,
    stop: Callable[[], bool],
) -> Iterator[Progress | RemadeFile]:
    if request.video is not None:
        source = video_source(paths[0], request.max_duration_s)
    else:
        source = pair_source(*paths)
    yield from interpolated(source, target, request, finder, stop)
