"""POST /v1/images/process."""

from typing import Annotated, ClassVar, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import CallDep
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import validating_media_first
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.process_body import (
    CropBody,
    MarkedBody,
    ScaleBody,
    WatermarkBody,
    WireStep,
    described,
    read_process_body,
    stored_steps,
)
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Media
from serve_app.core.bounds import MAX_STEPS
from serve_app.core.image.image_processing import (
    ConvertImageStep,
    ImageFileFormat,
    ProcessedImage,
    ProcessImage,
)
from serve_app.core.media import MediaKind
from serve_app.core.message import Message

router = APIRouter(tags=["images"], responses=ERRORS)


class ConvertImageBody(WireStep):
    """Write the result in this format; of several such steps the last one counts."""

    type: Literal["convert"]
    format: ImageFileFormat | Literal["jpeg"]

    def to_step(self) -> ConvertImageStep:
        """The core's."""
        return ConvertImageStep(format="jpg" if self.format == "jpeg" else self.format)


ImageStepBody = Annotated[
    ScaleBody | CropBody | WatermarkBody | ConvertImageBody, Field(discriminator="type")
]


class ImageProcessBody(MarkedBody):
    """An image, and what is done to it."""

    medium: ClassVar[MediaKind] = "image"

    image: Media
    steps: list[ImageStepBody] = Field(min_length=1, max_length=MAX_STEPS)


@router.post("/v1/images/process", openapi_extra=described(ImageProcessBody))
async def process_image(call: CallDep) -> Response:
    """Scale, crop, mark and convert an image, in one pass."""
    context = call.context
    body = await read_process_body(call.request, context, ImageProcessBody)
    output = media_output(body.response_format, "image")
    async with validating_media_first(context, ("image", body.image, "image")):
        context.catalog.media_runner()
    operation = ProcessImage(
        image=await context.intake.take(body.image, param="image", kind="image"),
        steps=await stored_steps(body.steps, body.watermark, context),
        max_pixels=context.config.limits.image_pixels,
    )
    return await job_answer(call, body, operation, output)


async def processed_image_body(
    finished: Finished[Message, ProcessedImage, MediaOutput],
) -> AnswerBody:
    """The image, its size and its format."""
    made = finished.result
    item = await media_item(finished, made.image) | made.size.model_dump()
    return result_envelope(finished, item | {"format": made.format})


ANSWERS = (Answer(ProcessImage, MediaOutput, processed_image_body),)
