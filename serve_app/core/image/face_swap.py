"""Faces: found in images and videos, and put in place of others."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field
from typing_extensions import override

from serve_app.core.engine import Engine
from serve_app.core.image.images import MAX_PIXELS
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.operation import Operation

TargetType = Literal["image", "video"]
WhichFaces = Literal["all", "largest"]


class SwappedFaces(MediaResult):
    """A PNG, or an MP4 with the target's audio; the target itself when it shows no face.

    `faces_swapped` of a video is the most that were swapped in one frame.
    """

    media: Blob
    faces_swapped: int
    width: int
    height: int
    duration_s: float | None = None

    @override
    def facts(self) -> dict[str, MediaFacts]:
        facts = MediaFacts(width=self.width, height=self.height, duration_s=self.duration_s)
        return {self.media.sha256: facts}


FaceSwapEvent = Progress | SwappedFaces


class ExtractedImages(Message):
    """PNG files in the order of the request. Empty when nothing could be taken."""

    images: tuple[Blob, ...]


class ExtractImages(Operation[ExtractedImages]):
    """Take at most `count` reference images out of `images` and then `videos`: of a video the
    sharpest frames, spread over it. `what` faces are cut out, the largest of each image; where
    there is none, and for frames, the whole image is taken, its long edge at most 1024 pixels.
    """

    name, task, verb = "image.extraction", "faces", "extract_images"
    answers_once = True

    model: str
    what: Literal["faces", "frames"]
    images: tuple[Blob, ...] = ()
    videos: tuple[Blob, ...] = ()
    count: int = Field(ge=1)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)


class SwapFaces(Operation[SwappedFaces]):
    """Put the largest face of the image `source_face` in place of those of `target`; images
    may have at most `max_pixels`.
    """

    name, task, verb = "image.faceswap", "faces", "swap_faces"

    model: str
    source_face: Blob
    target: Blob
    target_type: TargetType
    faces: WhichFaces = "all"
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)


class FaceModel(Engine, Protocol):
    """Finds faces and swaps them."""

    def swap_faces(self, request: SwapFaces) -> AsyncIterator[FaceSwapEvent]:
        """Progress in frames, last the result. InvalidRequest with `param` `source_face` when
        there is no face in it.
        """
        ...

    async def extract_images(self, request: ExtractImages) -> ExtractedImages:
        """InvalidRequest with `param` `images[i]` or `videos[i]` for what cannot be decoded."""
        ...
