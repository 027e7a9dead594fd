"""POST /v1/video/upscale."""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer
from serve_app.api.call import CallDep, dialect_errors
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import validating_media_first
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.video.video_item import remade_video_body
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, MediaText, ModelName, Text
from serve_app.catalog.upscaler_selection import select_upscaler
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.image.upscaling import UpscaleVideo, VideoFactor

router = APIRouter(tags=["video"], responses=ERRORS)


class VideoUpscaleBody(JobBody):
    """A video, and the factor to upscale it by. `allow_resize` allows resampling if no trained
    upscaler is available.
    """

    video: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    model: ModelName | None = None
    upscale_factor: VideoFactor | None = None
    allow_resize: Flag | None = None
    response_format: Literal["url", "b64_mp4", "base64", "b64"] | None = None
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        return self.sent("user")


@router.post("/v1/video/upscale")
async def upscale_video(body: VideoUpscaleBody, call: CallDep) -> Response:
    """Upscale a video by 2, 3 or 4; timestamps and audio are kept."""
    context = call.context
    allows_resize = bool(body.allow_resize)
    output = media_output(body.response_format, "video")
    async with validating_media_first(context, ("video", body.video, "video")):
        with dialect_errors(call.dialect, UpscaleVideo.name):
            found = await select_upscaler(context.catalog, body.model, allows_resize=allows_resize)
    operation = UpscaleVideo(
        model=found.id,
        video=await context.intake.take(body.video, param="video", kind="video"),
        factor=body.upscale_factor or 2,
        allows_resize=allows_resize,
    )
    return await job_answer(call, body, operation, output)


ANSWERS = (Answer(UpscaleVideo, MediaOutput, remade_video_body),)
