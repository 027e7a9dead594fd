"""POST /v1/video/interpolate."""

from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer
from serve_app.api.call import CallDep
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import SentMedium, validating_media_first
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.video.video_item import remade_video_body
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Integer, Media, ModelName, Number, Text
from serve_app.core.errors import InvalidRequest
from serve_app.core.video.interpolation import MAX_FPS, InterpolateVideo

router = APIRouter(tags=["video"], responses=ERRORS)


class InterpolationBody(JobBody):
    """A video or two images, and the new frame rate."""

    video: Media | None = None
    init_image: Media | None = None
    end_image: Media | None = None
    model: ModelName | None = None
    fps_multiplier: Annotated[Integer, Field(ge=2, le=8)] | None = None
    output_fps: Annotated[Number, Field(strict=True, ge=1, le=MAX_FPS)] | None = None
    response_format: Literal["url", "b64_mp4", "base64", "b64"] | None = None
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """The multiplier gives way to the rate."""
        names = ["user"] if self.output_fps is None else ["user", "fps_multiplier"]
        return self.sent(*names)

    async def to_interpolate(self, model: str, context: Context) -> InterpolateVideo:
        """The operation, of media that were checked."""
        take = context.intake.take
        operation = InterpolateVideo(
            model=model, fps_multiplier=self.fps_multiplier or 2, output_fps=self.output_fps
        )
        if self.video is not None:
            video = await take(self.video, param="video", kind="video")
            return operation.model_copy(update={"video": video})
        images = {
            name: await take(getattr(self, name), param=name, kind="image")
            for name in ("init_image", "end_image")
        }
        return operation.model_copy(update=images)

    def check_media(self) -> None:
        """InvalidRequest naming the medium that is missing or one too many."""
        images = {"init_image": self.init_image, "end_image": self.end_image}
        given = [name for name, value in images.items() if value is not None]
        if self.video is not None:
            if given:
                raise InvalidRequest("send a video or two images, not both", param=given[0])
            return
        if not given:
            raise InvalidRequest("send a video, or init_image and end_image", param="video")
        for name, value in images.items():
            if value is None:
                raise InvalidRequest(f"{name!r} is required with {given[0]!r}", param=name)


@router.post("/v1/video/interpolate")
async def interpolate(body: InterpolationBody, call: CallDep) -> Response:
    """Increase the frame rate of a video, or interpolate between two images."""
    context = call.context
    body.check_media()
    output = media_output(body.response_format, "video")
    first: SentMedium = ("init_image", body.init_image, "image")
    last: SentMedium = ("end_image", body.end_image, "image")
    async with validating_media_first(context, ("video", body.video, "video"), first, last):
        found = context.catalog.find("interpolation", body.model)
    operation = await body.to_interpolate(found.id, context)
    return await job_answer(call, body, operation, output)


ANSWERS = (Answer(InterpolateVideo, MediaOutput, remade_video_body),)
