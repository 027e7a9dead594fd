"""POST /v1/images/generations, edits, inpaint and variations."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import Call, CallDep
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import validating_media_first
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.images.image_body import GenerationBody, ImageRequestBody
from serve_app.api.v1.images.image_edit_body import (
    EditBody,
    InpaintBody,
    SourceBody,
    VariationBody,
    read_image_body,
    request_schema,
)
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.wire import ERRORS
from serve_app.core.image.images import Images, ImageToImage, Inpaint, TextToImage, VaryImage
from serve_app.core.message import Message
from serve_app.core.operation import Operation

router = APIRouter(tags=["images"], responses=ERRORS)


@router.post("/v1/images/generations")
async def generations(body: GenerationBody, call: CallDep) -> Response:
    """Generate up to ten images from a prompt, with increasing seeds."""
    context = call.context
    found = context.catalog.find("images", body.model)
    operation = await body.to_text_to_image(found, context)
    return await _answered(call, body, operation)


@router.post("/v1/images/edits", openapi_extra=request_schema(EditBody))
async def edits(call: CallDep) -> Response:
    """Edit an image, or the area that a mask selects; further images are references."""
    return await _remade(EditBody, call)


@router.post("/v1/images/inpaint", openapi_extra=request_schema(InpaintBody))
async def inpaint(call: CallDep) -> Response:
    """Edit the area of an image that a mask selects; all other pixels stay the same."""
    return await _remade(InpaintBody, call)


@router.post("/v1/images/variations", openapi_extra=request_schema(VariationBody))
async def variations(call: CallDep) -> Response:
    """Generate variations of an image, without a prompt."""
    return await _remade(VariationBody, call)


async def _remade(kind: type[SourceBody], call: Call) -> Response:
    context = call.context
    body = await read_image_body(call.request, context, kind)
    async with validating_media_first(context, *body.media()):
        found = context.catalog.find("images", body.model)
    operation = await body.to_operation(found, context)
    return await _answered(call, body, operation)


async def _answered(call: Call, body: ImageRequestBody, operation: Operation[Any]) -> Response:
    output = media_output(body.response_format, "image")
    return await job_answer(call, body, operation, output)


async def images_body(finished: Finished[Message, Images, MediaOutput]) -> AnswerBody:
    """An item for each image, with the seed that it was generated from."""
    images = finished.result
    items = [await media_item(finished, made.image) | {"seed": made.seed} for made in images.images]
    return result_envelope(finished, *items) | {"prompt_cache_hit": images.prompt_cache_hit}


ANSWERS = (
    Answer(TextToImage, MediaOutput, images_body),
    Answer(ImageToImage, MediaOutput, images_body),
    Answer(VaryImage, MediaOutput, images_body),
    Answer(Inpaint, MediaOutput, images_body),
)
