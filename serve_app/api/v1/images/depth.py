"""POST /v1/images/depth."""

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import CallDep
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import validating_media_first
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import MediaText, ModelName, Text
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.image.depth import DepthMap, EstimateDepth
from serve_app.core.message import Message

router = APIRouter(tags=["images"], responses=ERRORS)


class DepthBody(JobBody):
    """The image whose depth is estimated."""

    image: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    model: ModelName | None = None
    response_format: Text | None = Field(default=None, max_length=50)
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        return self.sent("user")


@router.post("/v1/images/depth")
async def depth(body: DepthBody, call: CallDep) -> Response:
    """Estimate the depth of an image: a grey image in which near is bright."""
    context = call.context
    output = media_output(body.response_format, "image")
    async with validating_media_first(context, ("image", body.image, "image")):
        found = context.catalog.find("depth", body.model)
    operation = EstimateDepth(
        model=found.id,
        image=await context.intake.take(body.image, param="image", kind="image"),
        max_pixels=context.config.limits.image_pixels,
    )
    return await job_answer(call, body, operation, output)


async def depth_body(finished: Finished[Message, DepthMap, MediaOutput]) -> AnswerBody:
    """The image of distances."""
    return result_envelope(finished, await media_item(finished, finished.result.depth))


ANSWERS = (Answer(EstimateDepth, MediaOutput, depth_body),)
