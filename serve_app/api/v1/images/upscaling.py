"""POST /v1/images/upscale."""

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import CallDep, dialect_errors
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import validating_media_first
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, Integer, MediaText, ModelName, Text
from serve_app.catalog.upscaler_selection import select_upscaler
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.image.images import ImageFormat
from serve_app.core.image.upscaling import Scale, UpscaledImage, UpscaleImage
from serve_app.core.message import Message

router = APIRouter(tags=["images"], responses=ERRORS)


class UpscaleBody(JobBody):
    """An image, and the factor to upscale it by."""

    image: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    model: ModelName | None = None
    scale: Scale | None = None
    allow_resize: Flag | None = None
    output_format: ImageFormat | None = None
    output_compression: Annotated[Integer, Field(ge=0, le=100)] | None = None
    response_format: Text | None = Field(default=None, max_length=50)
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only; and PNG loses nothing."""
        is_png = self.output_format in (None, "png")
        return self.sent("user", *(("output_compression",) if is_png else ()))


@router.post("/v1/images/upscale")
async def upscale(body: UpscaleBody, call: CallDep) -> Response:
    """Upscale an image by exactly 2, 3, 4 or 8."""
    context = call.context
    output = media_output(body.response_format, "image")
    allows_resize = bool(body.allow_resize)
    async with validating_media_first(context, ("image", body.image, "image")):
        with dialect_errors(call.dialect, UpscaleImage.name):
            found = await select_upscaler(context.catalog, body.model, allows_resize=allows_resize)
    operation = UpscaleImage(
        model=found.id,
        image=await context.intake.take(body.image, param="image", kind="image"),
        scale=body.scale or 4,
        allows_resize=allows_resize,
        format=body.output_format or "png",
        compression=95 if body.output_compression is None else body.output_compression,
        max_pixels=context.config.limits.image_pixels,
    )
    return await job_answer(call, body, operation, output)


async def upscaled_body(finished: Finished[Message, UpscaledImage, MediaOutput]) -> AnswerBody:
    """The larger image, its size, and what made it."""
    upscaled = finished.result
    item = await media_item(finished, upscaled.image)
    return result_envelope(
        finished, item | upscaled.size.model_dump() | {"engine": upscaled.engine}
    )


ANSWERS = (Answer(UpscaleImage, MediaOutput, upscaled_body),)
