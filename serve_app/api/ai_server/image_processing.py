"""What scales, crops, marks and converts images."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from serve_app.api.ai_server.audio_operations import BAD_FORMAT, NO_FORMAT
from serve_app.api.ai_server.given_files import GivenFiles
from serve_app.api.ai_server.known_models import check_media
from serve_app.api.ai_server.operation_body import OperationBody
from serve_app.api.ai_server.scalars import Decimal, Whole, between, one_of
from serve_app.api.ai_server.service_error import ServiceError
from serve_app.api.call import Call
from serve_app.core.image.image_processing import (
    IMAGE_FILE_MIME,
    ConvertImageStep,
    ImageFileFormat,
    ImageStep,
    ProcessImage,
)
from serve_app.core.image.processing_steps import CropStep, Position, ScaleStep, WatermarkStep
from serve_app.core.media import Blob
from serve_app.core.operation import Operation

POSITIONS: dict[str, Position] = {
    "TopLeft": "top_left",
    "TopRight": "top_right",
    "BottomLeft": "bottom_left",
    "BottomRight": "bottom_right",
    "Center": "center",
}
FORMATS: dict[str, ImageFileFormat] = {name: name for name in IMAGE_FILE_MIME} | {"jpeg": "jpg"}
BAD_SCALE, BAD_CROP = "Invalid scale dimensions", "Invalid crop dimensions"
NO_IMAGE = "No image file provided"
NO_MARK = "No watermark image file provided"
Corner = Annotated[Position, BeforeValidator(one_of(POSITIONS))]
Factor = Annotated[Decimal, between(0, 10)]
Opacity = Annotated[Decimal, between(0, 1)]


class ImageFields(OperationBody):
    """An image, to which one step is done."""

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:
        """The operation."""
        check_media(call.context.catalog)
        image = await files.take("image", ServiceError(NO_IMAGE))
        return ProcessImage(
            image=image,
            steps=(await self.step(files),),
            max_pixels=call.context.config.limits.image_pixels,
        )

    async def step(self, files: GivenFiles) -> ImageStep:
        """What is done."""
        raise NotImplementedError


class ScaleImageFields(ImageFields):
    """ScaleImage: a side that is not given keeps its size."""

    width: Whole | None = None
    height: Whole | None = None

    async def step(self, files: GivenFiles) -> ImageStep:  # noqa: ARG002
        """The step."""
        sides = [side for side in (self.width, self.height) if side is not None]
        if not sides or min(sides) <= 0:
            raise ServiceError(BAD_SCALE)
        return ScaleStep(width=self.width, height=self.height, keeps_ratio=False)


class CropImageFields(ImageFields):
    """CropImage."""

    x: Whole = 0
    y: Whole = 0
    width: Whole = 0
    height: Whole = 0

    async def step(self, files: GivenFiles) -> ImageStep:  # noqa: ARG002
        """The step."""
        return crop_step(self.x, self.y, self.width, self.height)


class WatermarkImageFields(ImageFields):
    """WatermarkImage. Of `watermark_scale` and `opacity` 0 means not given."""

    position: Corner = "top_left"
    watermark_scale: Factor = 1.0
    opacity: Opacity = 0.5

    async def step(self, files: GivenFiles) -> ImageStep:
        """The step."""
        mark = await files.take("watermark", ServiceError(NO_MARK))
        return watermark_step(mark, self.position, self.watermark_scale or 1.0, self.opacity or 0.5)


class ConvertImageFields(ImageFields):
    """ConvertImage, whose result is named as the upload."""

    output_format: (
        Annotated[ImageFileFormat, BeforeValidator(one_of(FORMATS, otherwise=BAD_FORMAT))] | None
    ) = None

    async def step(self, files: GivenFiles) -> ImageStep:  # noqa: ARG002
        """The step."""
        if self.output_format is None:
            raise ServiceError(NO_FORMAT)
        return ConvertImageStep(format=self.output_format)

    def stem(self, files: GivenFiles) -> str | None:
        """The name of the upload."""
        return files.stem("image")


def crop_step(x: int, y: int, width: int, height: int) -> CropStep:
    """ServiceError for what cannot be cut out of any image."""
    if min(x, y) < 0 or min(width, height) <= 0:
        raise ServiceError(BAD_CROP)
    return CropStep(x=x, y=y, width=width, height=height)


def watermark_step(mark: Blob, position: Position, scale: float, opacity: float) -> WatermarkStep:
    """A watermark in `scale` times its own size."""
    return WatermarkStep(image=mark, position=position, scale=scale, opacity=opacity)
