"""POST /v1/pipelines/video-dub."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.v1.chat_parts import MEDIA_CHARACTERS
from serve_app.api.v1.job_body import JobBody
from serve_app.api.v1.job_calls import called
from serve_app.api.v1.media_answer import output_key
from serve_app.api.v1.wire import ERRORS, Flag, Text
from serve_app.core.errors import (
    BackendUnavailable,
    InvalidRequest,
    UnsupportedCapability,
)
from serve_app.core.languages import language_code
from serve_app.core.video_dub import DubVideo
from serve_app.models import Models
from serve_app.transcription_routing import select

router = APIRouter(tags=["pipelines"], responses=ERRORS)


class VideoDubBody(JobBody):
    """A video and the language it is to speak. `model` is a transcription or a text model; the
    other one is the default.
    """

    video: Text = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    target_lang: Text = Field(min_length=1, max_length=100)
    source_lang: Text | None = Field(default=None, max_length=100)
    model: Text | None = Field(default=None, max_length=500)
    voice_clone: Flag | None = None
    burn_subtitles: Flag | None = None
    response_format: Literal["url", "b64_mp4", "base64", "b64"] | None = None
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        return ["user"] if self.user is not None else []

    async def to_dub(self, context: Context) -> DubVideo:
        """The operation, with the video stored."""
        if self.voice_clone:
            raise UnsupportedCapability(
                "voice_clone: no configured model clones voices", param="voice_clone"
            )
        source = _code(self.source_lang, "source_lang") if self.source_lang else None
        target = _code(self.target_lang, "target_lang")
        transcription, chat = self._models(context.models, source)
        return DubVideo(
            video=await context.intake.take(self.video, param="video", kind="video"),
            target_language=target,
            source_language=source,
            transcription_model=transcription,
            chat_model=chat,
            speech_model=context.models.speech(None).id,
        )

    def _models(self, models: Models, source: str | None) -> tuple[str, str]:
        name = self.model
        is_chat = name is not None and name.lower() not in ("", "auto") and _is_chat(models, name)
        transcription = select(models, None if is_chat else name, source).id
        return transcription, models.chat(name if is_chat else None).id


@router.post("/v1/pipelines/video-dub")
async def video_dub(
    body: VideoDubBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Dub a video: transcribe, translate when the languages differ, speak, put the sound back."""
    _check_configured(context)
    operation = await body.to_dub(context)
    output: dict[str, Any] = {
        "response_format": output_key(body.response_format, "video", ("b64_mp4",))
    }
    if body.burn_subtitles is not False:
        output["warnings"] = ["burn_subtitles: not available in this version; the video has none"]
    return await called(body, operation, request, context, principal, output)


def _check_configured(context: Context) -> None:
    if all(pipeline.name != "video-dub" for pipeline in context.config.pipelines):
        raise BackendUnavailable(
            "the pipeline 'video-dub' is not configured; add it to 'pipelines'",
            provider="video-dub",
        )


def _is_chat(models: Models, name: str) -> bool:
    """Names that only transcription routing knows, like Whisper sizes, are no chat models."""
    return any(
        name.lower() in map(str.lower, (f.id, *f.model.aliases))
        for f in models.all()
        if f.family.options.task == "chat"
    )


def _code(text: str, param: str) -> str:
    code = language_code(text)
    if code is None:
        raise InvalidRequest(
            f"{param}: unknown language {text[:50]!r}; use an ISO code such as 'de'", param=param
        )
    return code
