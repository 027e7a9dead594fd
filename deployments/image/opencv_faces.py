"""Faces without a model of their own: OpenCV's cascades find them, Poisson cloning swaps them."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from deployments.image.face_media import FaceTools
from deployments.model_engine import ModelEngine
from serve_app.core.config import Model
from serve_app.core.image.face_swap import (
    ExtractedImages,
    ExtractImages,
    FaceModel,
    FaceSwapEvent,
    SwapFaces,
)
from serve_app.core.media import BlobStore
from serve_app.core.notices import Notice
from serve_app.core.options.image import OpencvFacesOptions

if TYPE_CHECKING:
    from deployments.image.face_finding import Face, Pixels
    from deployments.image.face_media import Swap

WARNING = Notice(
    text="faces were blended over others by image processing (OpenCV), not by a trained model: "
    "expression, pose and light are those of the source"
)


class OpencvFaces(ModelEngine[OpencvFacesOptions], FaceModel, FaceTools):
    """A FaceModel. Faces are found when they are seen from the front."""

    requires = ("av", "cv2")

    def __init__(
        self,
        options: OpencvFacesOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        from deployments.image.face_finding import CascadeFinder

        self._finder = CascadeFinder()

    @override
    def swap_faces(self, request: SwapFaces) -> AsyncGenerator[FaceSwapEvent]:
        from deployments.image.face_media import swap_events

        return swap_events(request, self, self.blobs, warnings=(WARNING,))

    @override
    async def extract_images(self, request: ExtractImages) -> ExtractedImages:
        from deployments.image.reference_images import extracted

        return await extracted(request, self.find, self.blobs)

    @override
    def find(self, pixels: "Pixels") -> "list[Face]":
        return self._finder(pixels)

    @override
    def swapper(self, pixels: "Pixels", face: "Face") -> "Swap":
        from deployments.image.face_blending import FaceSource

        return FaceSource(pixels, face)
