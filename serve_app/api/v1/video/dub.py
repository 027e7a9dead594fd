"""POST /v1/video/dub and /v1/pipelines/video-dub: the same work, two shapes of the answer."""

from collections.abc import Iterable
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer
from serve_app.api.call import Call, CallDep
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.audio.spoken_models import known_language, known_locale
from serve_app.api.v1.configured import check_configured, validating_media_first
from serve_app.api.v1.media_output import media_form
from serve_app.api.v1.video.dub_answer import DubOutput, dub_body
from serve_app.api.v1.video.dubbing import NO_STEMS, to_dubbing
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, MediaText, ModelName, Text, Track
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.notices import Notice
from serve_app.core.video.dubbing import DubVideo

router = APIRouter(tags=["video"], responses=ERRORS)


class DubBody(JobBody):
    """A video, and the language to dub it into. `model` transcribes or translates; the default
    model does the other task.
    """

    video: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    target_lang: Text = Field(min_length=1, max_length=100)
    source_lang: Text | None = Field(default=None, max_length=100)
    model: ModelName | None = None
    voice: Text | None = Field(default=None, min_length=1, max_length=200)
    voice_clone: Flag | None = None
    burn_subtitles: Flag | None = None
    audio_track: Track | None = None
    keep_background: Flag | None = None
    response_format: Literal["url", "b64_mp4", "base64", "b64"] | None = None
    user: Text | None = None

    def without_effect(self) -> Iterable[str]:
        """Accepted for compatibility only, or without anything that they belong to."""
        names = ["user", "voice"] if self.voice_clone else ["user"]
        return self.sent(*names)

    async def to_dub(
        self, context: Context, *, burns_subtitles: bool
    ) -> tuple[DubVideo, list[Notice]]:
        """The operation, with the video stored, and what is known to be missing in its result."""
        source = known_language(self.source_lang, "source_lang") if self.source_lang else None
        keeps_background = self.keep_background is not False
        requested = await to_dubbing(
            context.catalog,
            target=known_locale(self.target_lang, "target_lang"),
            source=source,
            model=self.model,
            voice=self.voice,
            clones_voice=bool(self.voice_clone),
            keeps_background=keeps_background,
            burns_subtitles=burns_subtitles if self.burn_subtitles is None else self.burn_subtitles,
        )
        video = await context.intake.take(self.video, param="video", kind="video")
        operation = DubVideo(video=video, audio_track=self.audio_track, **dict(requested))
        is_lost = requested.stems_model is None and keeps_background
        lost = Notice(field="keep_background", text=NO_STEMS)
        return operation, [lost] if is_lost else []


@router.post("/v1/video/dub")
async def dub(body: DubBody, call: CallDep) -> Response:
    """Dub a video: transcribe, translate and speak every segment, and keep its timing."""
    return await _answer(body, call, burns_subtitles=False, is_item=True)


@router.post("/v1/pipelines/video-dub", tags=["pipelines"])
async def video_dub(body: DubBody, call: CallDep) -> Response:
    """Dub a video and burn its subtitles in."""
    return await _answer(body, call, burns_subtitles=True, is_item=False)


async def _answer(body: DubBody, call: Call, *, burns_subtitles: bool, is_item: bool) -> Response:
    context = call.context
    form = media_form(body.response_format, "video")
    async with validating_media_first(context, ("video", body.video, "video")):
        operation, warnings = await body.to_dub(context, burns_subtitles=burns_subtitles)
        check_configured(context, DubVideo.pipeline)
    output = DubOutput(response_format=form, warnings=tuple(warnings), is_item=is_item)
    return await job_answer(call, body, operation, output)


ANSWERS = (Answer(DubVideo, DubOutput, dub_body),)
