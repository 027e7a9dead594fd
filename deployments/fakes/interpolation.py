"""The fake Interpolator."""

from collections.abc import AsyncGenerator

from deployments.fakes.engine import FakeEngine
from serve_app.core.options.video import OpticalFlowOptions
from serve_app.core.video.interpolation import InterpolateVideo, InterpolationEvent
from serve_app.runtime.streams import closing


class FakeInterpolation(FakeEngine):
    """An Interpolator: the one that needs no model, taking as long as the options say."""

    async def interpolate(self, request: InterpolateVideo) -> AsyncGenerator[InterpolationEvent]:
        """As FlowInterpolation."""
        from deployments.video.flow_interpolation import FlowInterpolation

        flow = FlowInterpolation(OpticalFlowOptions(), self.model, path=None, blobs=self.blobs)
        subject = request.video or request.init_image
        async with self.working("interpolate", subject.sha256 if subject else ""):
            events = flow.interpolate(request)
            async with closing(events):
                async for event in events:
                    named = hasattr(event, "engine")
                    yield event.model_copy(update={"engine": "fake"}) if named else event
