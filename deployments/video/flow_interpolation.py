"""Frames put between frames without a trained model: what moves is followed by optical flow."""

from collections.abc import AsyncGenerator
from pathlib import Path

from deployments.opencv_library import check_opencv
from serve_app.core.config import Model
from serve_app.core.media import BlobStore
from serve_app.core.options.video import OpticalFlowOptions
from serve_app.core.video.interpolation import InterpolateVideo, InterpolationEvent


class FlowInterpolation:
    """An Interpolator. A video takes no more memory than a few of its frames."""

    context_length: int | None = None

    def __init__(
        self,
        options: OpticalFlowOptions,
        model: Model,  # noqa: ARG002 - every engine is constructed alike
        *,
        path: Path | None,  # noqa: ARG002
        blobs: BlobStore,
    ) -> None:
        check_opencv(options.engine)
        self._engine = options.engine
        self._blobs = blobs

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to free."""

    def interpolate(self, request: InterpolateVideo) -> AsyncGenerator[InterpolationEvent]:
        """See Interpolator."""
        from deployments.video.flow_planes import FlowFinder
        from deployments.video.interpolation_files import interpolation_events

        return interpolation_events(request, FlowFinder(), self._blobs, engine=self._engine)
