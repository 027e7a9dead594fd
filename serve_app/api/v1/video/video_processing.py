"""POST /v1/video/process."""

from typing import Annotated, ClassVar, Literal, Self

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field, model_validator

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
from serve_app.api.wire_types import Media, Number, Track
from serve_app.core.bounds import MAX_STEPS
from serve_app.core.media import MediaKind
from serve_app.core.message import Message
from serve_app.core.video.video_processing import (
    ConvertVideoStep,
    ProcessedVideo,
    ProcessVideo,
    TrimStep,
    VideoFileFormat,
)

router = APIRouter(tags=["video"], responses=ERRORS)
Seconds = Annotated[Number, Field(strict=True, ge=0)]


class ConvertVideoBody(WireStep):
    """Write the result in this format; of several such steps the last one counts."""

    type: Literal["convert"]
    format: VideoFileFormat

    def to_step(self) -> ConvertVideoStep:
        """The core's."""
        return ConvertVideoStep(format=self.format)


class TrimBody(WireStep):
    """Keep what is seen and heard from `start` to `end`; without one, to the end of the video. Both
    are seconds of what the steps before it have left.
    """

    type: Literal["trim"]
    start: Seconds = 0.0
    end: Annotated[Seconds, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError("'end' must be after 'start'")
        return self

    def to_step(self) -> TrimStep:
        """The core's."""
        return TrimStep(start_s=self.start, end_s=self.end)


VideoStepBody = Annotated[
    ScaleBody | CropBody | WatermarkBody | TrimBody | ConvertVideoBody,
    Field(discriminator="type"),
]


class VideoProcessBody(MarkedBody):
    """A video, and what is done to it."""

    medium: ClassVar[MediaKind] = "video"

    video: Media
    audio_track: Track | None = None
    steps: list[VideoStepBody] = Field(min_length=1, max_length=MAX_STEPS)


@router.post("/v1/video/process", openapi_extra=described(VideoProcessBody))
async def process_video(call: CallDep) -> Response:
    """Scale, crop, mark, cut and convert a video, in one pass."""
    context = call.context
    body = await read_process_body(call.request, context, VideoProcessBody)
    output = media_output(body.response_format, "video")
    async with validating_media_first(context, ("video", body.video, "video")):
        context.catalog.media_runner()
    operation = ProcessVideo(
        video=await context.intake.take(body.video, param="video", kind="video"),
        steps=await stored_steps(body.steps, body.watermark, context),
        audio_track=body.audio_track,
        max_pixels=context.config.limits.image_pixels,
    )
    return await job_answer(call, body, operation, output)


async def processed_video_body(
    finished: Finished[Message, ProcessedVideo, MediaOutput],
) -> AnswerBody:
    """The video, its size, its length in seconds, its format, and how much of it was encoded."""
    made = finished.result
    item = await media_item(finished, made.video) | made.size.model_dump()
    told = {"duration": made.duration_s, "format": made.format, "encoded": made.encoded}
    return result_envelope(finished, item | told)


ANSWERS = (Answer(ProcessVideo, MediaOutput, processed_video_body),)
