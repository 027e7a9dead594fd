"""Frames put between frames without a trained model: what moves is followed by optical flow."""

from collections.abc import AsyncGenerator

from typing_extensions import override

from deployments.model_engine import ModelEngine
from serve_app.core.options.video import OpticalFlowOptions
from serve_app.core.video.interpolation import InterpolateVideo, InterpolationEvent, Interpolator


class FlowInterpolation(ModelEngine[OpticalFlowOptions], Interpolator):
    """An Interpolator. A video takes no more memory than a few of its frames."""

    requires = ("av", "cv2")

    @override
    def interpolate(self, request: InterpolateVideo) -> AsyncGenerator[InterpolationEvent]:
        from deployments.video.flow_planes import FlowFinder
        from deployments.video.interpolation_files import interpolation_events

        return interpolation_events(request, FlowFinder(), self.blobs, engine=self.options.engine)
