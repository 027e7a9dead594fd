"""POST /v1/video/generations."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.v1.configured import check_configured, input_first
from serve_app.api.v1.jobs.job_calls import called
from serve_app.api.v1.jobs.media_answer import output_key
from serve_app.api.v1.video.video_body import VideoBody
from serve_app.api.v1.video.video_request import to_produce
from serve_app.api.v1.wire import ERRORS
from serve_app.core.video.production import ProduceVideo

router = APIRouter(tags=["video"], responses=ERRORS)


@router.post("/v1/video/generations")
async def video_generations(
    body: VideoBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Make up to four videos of a prompt, images or a video; video i is made from the seed + i."""
    output = {"response_format": output_key(body.response_format, "video", ("b64_mp4",))}
    async with input_first(context, *body.media()):
        operation = await to_produce(body, context)
        check_configured(context, ProduceVideo.pipeline)
    return await called(body, operation, request, context, principal, output)
