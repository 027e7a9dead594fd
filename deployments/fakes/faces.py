"""The fake FaceModel."""

from collections.abc import AsyncGenerator

from deployments.fakes.engine import FakeEngine
from serve_app.core.image.face_swap import (
    ExtractedImages,
    ExtractImages,
    FaceSwapEvent,
    SwapFaces,
    SwappedFaces,
)
from serve_app.core.message import Progress

SIDE_PX = 64
DURATION_S = 1.0


class FakeFaces(FakeEngine):
    """A FaceModel that sees one face in everything and hands targets back as they are."""

    async def swap_faces(self, request: SwapFaces) -> AsyncGenerator[FaceSwapEvent]:
        """Always 64 pixels and one second."""
        async with self.working("swap_faces", request.target.sha256):
            yield Progress(phase="swap", current=1, total=1)
        yield SwappedFaces(
            media=request.target,
            faces_swapped=1,
            width=SIDE_PX,
            height=SIDE_PX,
            duration_s=DURATION_S if request.target_type == "video" else None,
        )

    async def extract_images(self, request: ExtractImages) -> ExtractedImages:
        """The images themselves; nothing of videos."""
        async with self.working("extract_images", request.what):
            return ExtractedImages(images=request.images[: request.count])
