"""Images scaled, cropped, marked and converted, without a model."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from serve_app.core.bounds import MAX_STEPS
from serve_app.core.image.images import MAX_PIXELS, Size
from serve_app.core.image.processing_steps import (
    CropStep,
    ScaleStep,
    WatermarkStep,
)
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message
from serve_app.core.operation import Operation

ImageFileFormat = Literal["jpg", "png", "gif", "bmp", "tiff", "webp"]
IMAGE_FILE_MIME: dict[ImageFileFormat, str] = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "webp": "image/webp",
}


class ConvertImageStep(Message):
    """Write it in this format; of several such steps the last one counts."""

    type: Literal["convert"] = "convert"
    format: ImageFileFormat


ImageStep = Annotated[
    ScaleStep | CropStep | WatermarkStep | ConvertImageStep, Field(discriminator="type")
]


class ProcessedImage(MediaResult):
    """The image, upright, in the `format` that was asked for."""

    image: Blob
    size: Size
    format: ImageFileFormat

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {self.image.sha256: MediaFacts(width=self.size.width, height=self.size.height)}


class ProcessImage(Operation[ProcessedImage]):
    """Do all `steps` in their order, from pixels to pixels, and encode once: as PNG where none of
    them converts. No image on the way may have more than `max_pixels`.
    """

    name, task, verb = "image.process", "media", "process_image"

    image: Blob
    steps: tuple[ImageStep, ...] = Field(min_length=1, max_length=MAX_STEPS)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)

    @property
    def format(self) -> ImageFileFormat:
        """Of the file that is written."""
        formats = [step.format for step in self.steps if isinstance(step, ConvertImageStep)]
        return formats[-1] if formats else "png"
