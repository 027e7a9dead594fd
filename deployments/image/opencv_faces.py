"""Faces without a model of their own: OpenCV's cascades find them, Poisson cloning swaps them."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.opencv_library import check_opencv
from serve_app.core.config import Model
from serve_app.core.image.face_swap import (
    ExtractedImages,
    ExtractImages,
    FaceSwapEvent,
    SwapFaces,
)
from serve_app.core.media import BlobStore
from serve_app.core.options.image import OpencvFacesOptions

if TYPE_CHECKING:
    from deployments.image.face_finding import Face, Pixels
    from deployments.image.face_media import Swap

WARNING = (
    "faces were laid over others by image processing (OpenCV), not by a trained model: expression, "
    "pose and light are those of the source"
)


class OpencvFaces:
    """A FaceModel. Faces are found when they are seen from the front."""

    context_length: int | None = None

    def __init__(
        self,
        options: OpencvFacesOptions,
        model: Model,  # noqa: ARG002 - every engine is constructed alike
        *,
        path: Path | None,  # noqa: ARG002
        blobs: BlobStore,
    ) -> None:
        check_opencv(options.engine)
        from deployments.image.face_finding import CascadeFinder

        self._finder = CascadeFinder()
        self._blobs = blobs

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to free."""

    def swap_faces(self, request: SwapFaces) -> AsyncGenerator[FaceSwapEvent]:
        """See FaceModel."""
        from deployments.image.face_media import swap_events

        return swap_events(request, self, self._blobs, warnings=(WARNING,))

    async def extract_images(self, request: ExtractImages) -> ExtractedImages:
        """See FaceModel."""
        from deployments.image.reference_images import extracted

        return await extracted(request, self.find, self._blobs)

    def find(self, pixels: "Pixels") -> "list[Face]":
        """See FaceTools."""
        return self._finder(pixels)

    def swapper(self, pixels: "Pixels", face: "Face") -> "Swap":
        """See FaceTools."""
        from deployments.image.face_blending import FaceSource

        return FaceSource(pixels, face)
