"""POST /v1/video/dub and /v1/pipelines/video-dub: the same work, two shapes of the answer."""

from collections.abc import Iterable
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.v1.chat_parts import MEDIA_CHARACTERS
from serve_app.api.v1.configured import check_configured
from serve_app.api.v1.job_body import JobBody
from serve_app.api.v1.job_calls import called
from serve_app.api.v1.media_answer import output_key
from serve_app.api.v1.spoken_models import heard_and_translated, known_language
from serve_app.api.v1.wire import ERRORS, Flag, Text
from serve_app.clone_selection import select_clone
from serve_app.core.errors import BackendUnavailable
from serve_app.core.video_dub import DubVideo
from serve_app.models import Models
from serve_app.stem_selection import select_stems

router = APIRouter(tags=["video"], responses=ERRORS)
NO_STEMS = "keep_background: no stem separation model is in service; only the new voice is heard"


class DubBody(JobBody):
    """A video and the language it is to speak. `model` is a transcription or a text model; the
    other one is the default.
    """

    video: Text = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    target_lang: Text = Field(min_length=1, max_length=100)
    source_lang: Text | None = Field(default=None, max_length=100)
    model: Text | None = Field(default=None, max_length=500)
    voice: Text | None = Field(default=None, min_length=1, max_length=200)
    voice_clone: Flag | None = None
    burn_subtitles: Flag | None = None
    keep_background: Flag | None = None
    response_format: Literal["url", "b64_mp4", "base64", "b64"] | None = None
    user: Text | None = None

    def without_effect(self) -> Iterable[str]:
        """Accepted for compatibility only, or without anything that they belong to."""
        names = ["user", "voice"] if self.voice_clone else ["user"]
        return [name for name in names if getattr(self, name) is not None]

    async def to_dub(
        self, context: Context, *, burns_subtitles: bool
    ) -> tuple[DubVideo, list[str]]:
        """The operation, with the video stored, and what is known to be missing in its result."""
        models = context.models
        source = known_language(self.source_lang, "source_lang") if self.source_lang else None
        target = known_language(self.target_lang, "target_lang")
        transcription, chat = heard_and_translated(models, self.model, source)
        speech = (
            select_clone(models, None, param="voice_clone")
            if self.voice_clone
            else models.speech(None)
        )
        stems = None if self.keep_background is False else await _stems(models)
        operation = DubVideo(
            video=await context.intake.take(self.video, param="video", kind="video"),
            target_language=target,
            source_language=source,
            transcription_model=transcription,
            chat_model=chat,
            speech_model=speech.id,
            voice=None if self.voice_clone else self.voice,
            clones_voice=bool(self.voice_clone),
            stems_model=stems,
            burns_subtitles=burns_subtitles if self.burn_subtitles is None else self.burn_subtitles,
        )
        is_lost = stems is None and self.keep_background is not False
        return operation, [NO_STEMS] if is_lost else []


@router.post("/v1/video/dub")
async def dub(
    body: DubBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Dub a video: every segment is transcribed, translated, and spoken in its own time."""
    return await _answer(body, request, context, principal, burns_subtitles=False, is_item=True)


@router.post("/v1/pipelines/video-dub", tags=["pipelines"])
async def video_dub(
    body: DubBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Dub a video and draw its words into it."""
    return await _answer(body, request, context, principal, burns_subtitles=True, is_item=False)


async def _answer(
    body: DubBody,
    request: Request,
    context: Context,
    principal: PrincipalDep,
    *,
    burns_subtitles: bool,
    is_item: bool,
) -> Response:
    check_configured(context, DubVideo.pipeline)
    operation, warnings = await body.to_dub(context, burns_subtitles=burns_subtitles)
    output: dict[str, Any] = {
        "response_format": output_key(body.response_format, "video", ("b64_mp4",)),
        "warnings": warnings,
        "is_item": is_item,
    }
    return await called(body, operation, request, context, principal, output)


async def _stems(models: Models) -> str | None:
    try:
        return (await select_stems(models, allows_fallback=True)).model.id
    except BackendUnavailable:
        return None
