"""Segmentation without a trained model: OpenCV's GrabCut, which tells objects by their colours.

Carsten Rother, Vladimir Kolmogorov, Andrew Blake: "GrabCut", SIGGRAPH 2004.
"""

from collections.abc import AsyncGenerator
from pathlib import Path

from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.segmentation import SegmentEvent, SegmentImage
from serve_app.core.media import BlobStore
from serve_app.core.options.image import GrabcutOptions

WARNING = "objects were told by their colours (GrabCut), not by a trained model"


class GrabcutSegmentation:
    """A SegmentationModel."""

    context_length: int | None = None

    def __init__(
        self,
        options: GrabcutOptions,
        model: Model,  # noqa: ARG002 - every engine is constructed alike
        *,
        path: Path | None,  # noqa: ARG002
        blobs: BlobStore,
    ) -> None:
        try:
            import cv2  # noqa: F401 - found missing here rather than in the middle of a job
        except ImportError as error:
            raise BackendUnavailable(
                "OpenCV is not installed; install the local extra: pip install 'polyphony[local]'",
                provider=options.engine,
            ) from error
        self._engine = options.engine
        self._blobs = blobs

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to free."""

    def segment_image(self, request: SegmentImage) -> AsyncGenerator[SegmentEvent]:
        """See SegmentationModel."""
        from deployments.image.grabcut_masks import find_masks
        from deployments.image.segment_images import stored_segments

        return stored_segments(
            request,
            find_masks,
            self._blobs,
            engine=self._engine,
            quality="best-effort",
            warnings=(WARNING,),
        )
