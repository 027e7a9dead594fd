"""POST /v1/video/generations."""

from itertools import zip_longest

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import CallDep
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import check_configured, validating_media_first
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item, media_link
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.video.video_body import VideoBody
from serve_app.api.v1.video.video_item import video_facts
from serve_app.api.v1.video.video_request import to_produce
from serve_app.api.v1.wire import ERRORS
from serve_app.core.message import Message
from serve_app.core.video.production import ProduceVideo, Videos

router = APIRouter(tags=["video"], responses=ERRORS)


@router.post("/v1/video/generations")
async def video_generations(body: VideoBody, call: CallDep) -> Response:
    """Generate up to four videos from a prompt, images or a video, with increasing seeds."""
    context = call.context
    output = media_output(body.response_format, "video")
    async with validating_media_first(context, *body.media()):
        operation = await to_produce(body, context)
        check_configured(context, ProduceVideo.pipeline)
    return await job_answer(call, body, operation, output)


async def videos_body(finished: Finished[Message, Videos, MediaOutput]) -> AnswerBody:
    """An item for each video, with the seed that it was made from."""
    videos = finished.result
    items = [
        await media_item(finished, video.video)
        | video_facts(video)
        | {"seed": video.seed}
        | ({"subtitles_url": await media_link(finished, subtitles)} if subtitles else {})
        for video, subtitles in zip_longest(videos.videos, videos.subtitles)
    ]
    return result_envelope(finished, *items)


ANSWERS = (Answer(ProduceVideo, MediaOutput, videos_body),)
