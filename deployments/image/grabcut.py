"""Segmentation without a trained model: OpenCV's GrabCut, which tells objects by their colours.

Carsten Rother, Vladimir Kolmogorov, Andrew Blake: "GrabCut", SIGGRAPH 2004.
"""

from collections.abc import AsyncGenerator

from typing_extensions import override

from deployments.model_engine import ModelEngine
from serve_app.core.image.segmentation import SegmentationModel, SegmentEvent, SegmentImage
from serve_app.core.notices import Notice
from serve_app.core.options.image import GrabcutOptions

WARNING = Notice(text="objects were selected by colour (GrabCut), not by a trained model")


class GrabcutSegmentation(ModelEngine[GrabcutOptions], SegmentationModel):
    """A SegmentationModel."""

    requires = ("cv2",)

    @override
    def segment_image(self, request: SegmentImage) -> AsyncGenerator[SegmentEvent]:
        from deployments.image.grabcut_masks import find_masks
        from deployments.image.segment_images import stored_segments

        return stored_segments(
            request,
            find_masks,
            self.blobs,
            engine=self.options.engine,
            quality="best-effort",
            warnings=(WARNING,),
        )
