"""POST /v1/images/faceswap."""

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import CallDep
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import SentMedium, validating_media_first
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import MediaText, ModelName, Text
from serve_app.blobs.sniff import kind_of
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.face_swap import SwapFaces, SwappedFaces, TargetType, WhichFaces
from serve_app.core.media import Blob
from serve_app.core.message import Message

router = APIRouter(tags=["images"], responses=ERRORS)


class FaceSwapBody(JobBody):
    """A face, and the image or video to swap it into."""

    source_face: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    target: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    target_type: TargetType | None = None
    faces: WhichFaces | None = None
    model: ModelName | None = None
    response_format: Text | None = Field(default=None, max_length=50)
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        return self.sent("user")


@router.post("/v1/images/faceswap")
async def face_swap(body: FaceSwapBody, call: CallDep) -> Response:
    """Swap a face into an image or a video."""
    context = call.context
    if body.target_type is not None:
        # Known to be wrong before anything is fetched.
        media_output(body.response_format, body.target_type)
    face: SentMedium = ("source_face", body.source_face, "image")
    async with validating_media_first(context, face, ("target", body.target, body.target_type)):
        model = context.catalog.find("faces", body.model).id
    source = await context.intake.take(body.source_face, param="source_face", kind="image")
    target, kind = await _target(body, context)
    operation = SwapFaces(
        model=model,
        source_face=source,
        target=target,
        target_type=kind,
        faces=body.faces or "all",
        max_pixels=context.config.limits.image_pixels,
    )
    output = media_output(body.response_format, kind)
    return await job_answer(call, body, operation, output)


async def _target(body: FaceSwapBody, context: Context) -> tuple[Blob, TargetType]:
    """The target and what it is; its content decides when the caller does not."""
    target = await context.intake.take(body.target, param="target", kind=body.target_type)
    kind = kind_of(target.mime)
    if kind not in ("image", "video"):
        raise InvalidRequest("send an image or a video", param="target")
    return target, kind


async def swapped_body(finished: Finished[Message, SwappedFaces, MediaOutput]) -> AnswerBody:
    """The image or video, and how many faces were replaced."""
    swapped = {"faces_swapped": finished.result.faces_swapped}
    item = await media_item(finished, finished.result.media)
    return result_envelope(finished, item | swapped) | swapped


ANSWERS = (Answer(SwapFaces, MediaOutput, swapped_body),)
