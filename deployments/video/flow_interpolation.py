"""Frames put between frames without a trained model: what moves is followed by optical flow."""

import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.interpolation import (
    InterpolatedVideo,
    InterpolateVideo,
    InterpolationEvent,
)
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.core.options import OpticalFlowOptions
from serve_app.core.streams import closing
from serve_app.core.threads import in_thread

if TYPE_CHECKING:
    from deployments.video.film_interpolation import InterpolatedFile, Source


class FlowInterpolation:
    """An Interpolator. A film takes no more memory than a few of its frames."""

    context_length: int | None = None

    def __init__(
        self,
        options: OpticalFlowOptions,
        model: Model,  # noqa: ARG002 - every engine is constructed alike
        *,
        path: Path | None,  # noqa: ARG002
        blobs: BlobStore,
    ) -> None:
        try:
            import av  # noqa: F401 - found missing here rather than in the middle of a job
            import cv2  # noqa: F401
        except ImportError as error:
            raise BackendUnavailable(
                "OpenCV or PyAV is not installed; install the local extra: "
                "pip install 'polyphony[local]'",
                provider=options.engine,
            ) from error
        self._engine = options.engine
        self._blobs = blobs

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to free."""

    async def interpolate(self, request: InterpolateVideo) -> AsyncGenerator[InterpolationEvent]:
        """See Interpolator."""
        made: InterpolatedFile | None = None
        with tempfile.TemporaryDirectory(prefix="interpolate-") as folder:
            target = Path(folder) / "interpolated.mp4"
            async with AsyncExitStack() as stack:
                paths = [
                    await stack.enter_async_context(self._blobs.local_file(blob))
                    for blob in _given(request)
                ]
                work = in_thread(lambda stop: _written(request, paths, target, stop))
                async with closing(work):
                    async for item in work:
                        if isinstance(item, Progress):
                            yield item
                        else:
                            made = item
            assert made is not None
            blob = await self._blobs.write_file(target, mime="video/mp4")
        yield InterpolatedVideo(video=blob, engine=self._engine, **made._asdict())


def _given(request: InterpolateVideo) -> list[Blob]:
    """The film, or the two pictures. InvalidRequest for neither and for one picture alone."""
    if request.video is not None:
        return [request.video]
    if request.init_image is None and request.end_image is None:
        raise InvalidRequest("video: give a video, or init_image and end_image", param="video")
    for name, blob in (("init_image", request.init_image), ("end_image", request.end_image)):
        if blob is None:
            raise InvalidRequest(
                f"{name}: two pictures are needed, init_image and end_image", param=name
            )
    return [blob for blob in (request.init_image, request.end_image) if blob is not None]


def _written(
    request: InterpolateVideo, paths: list[Path], target: Path, stop: Callable[[], bool]
) -> "Iterator[Progress | InterpolatedFile]":
    from deployments.video.film_interpolation import film_source, interpolated, pair_source

    source: Source
    if request.video is not None:
        source = film_source(paths[0], request.max_duration_s)
    else:
        source = pair_source(*paths)
    yield from interpolated(source, target, request, stop)
