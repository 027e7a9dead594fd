"""POST /v1/video/subtitle."""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer
from serve_app.api.call import CallDep
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.audio.spoken_models import is_translator, known_locale, spoken_models
from serve_app.api.v1.configured import check_configured, validating_media_first
from serve_app.api.v1.media_output import media_form
from serve_app.api.v1.video.subtitle_answer import SubtitleForm, SubtitleOutput, subtitles_body
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, MediaText, ModelName, Text, Track
from serve_app.catalog.transcription_routing import request_language
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.languages import language_code
from serve_app.core.video.processing import SubtitleStyle
from serve_app.core.video.subtitling import SubtitleVideo

router = APIRouter(tags=["video"], responses=ERRORS)
ENGLISH = "en"


class SubtitleBody(JobBody):
    """A video to subtitle. `translate` without a language translates into English."""

    video: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    model: ModelName | None = None
    language: Text | None = Field(default=None, max_length=100)
    translate: Flag | None = None
    target_lang: Text | None = Field(default=None, min_length=1, max_length=100)
    burn: Flag | None = None
    style: SubtitleStyle | None = None
    audio_track: Track | None = None
    response_format: Literal["srt", "vtt", "json", "burned_video"] | None = None
    output_format: Literal["url", "b64_mp4", "base64", "b64"] | None = None
    user: Text | None = None

    @property
    def burns(self) -> bool:
        """Whether the answer is a video."""
        return bool(self.burn) or self.response_format == "burned_video"

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only, or of a video that is not asked for."""
        names = ["user"] if self.burns else ["user", "style", "output_format"]
        return self.sent(*names)

    async def to_subtitle(self, context: Context) -> SubtitleVideo:
        """The operation, with the video stored."""
        if self.burn and self.response_format not in (None, "burned_video"):
            raise InvalidRequest(
                f"{self.response_format!r} is text, and 'burn' asks for a video",
                remedy="leave one of them out",
                param="response_format",
            )
        target = self._target()
        transcription, translation = spoken_models(context.catalog, self.model, self.language)
        found = context.catalog.find("transcription", transcription)
        language = request_language(self.language, found.model)
        while_transcribed = (
            target is not None
            and language_code(target) == ENGLISH
            and found.model.can_translate
            and not is_translator(context.catalog, self.model)
        )
        return SubtitleVideo(
            video=await context.intake.take(self.video, param="video", kind="video"),
            transcription_model=transcription,
            translation_model=translation if target and not while_transcribed else None,
            language=language,
            target_language=target,
            is_translated_while_transcribed=while_transcribed,
            style=self.style or "default",
            burns=self.burns,
            audio_track=self.audio_track,
        )

    def _target(self) -> str | None:
        """`target_lang` says more than `translate`; without it that is English."""
        if self.target_lang is not None:
            return known_locale(self.target_lang, "target_lang")
        return ENGLISH if self.translate else None


@router.post("/v1/video/subtitle")
async def subtitle(body: SubtitleBody, call: CallDep) -> Response:
    """Transcribe a video into subtitles, as a file or burned in."""
    context = call.context
    async with validating_media_first(context, ("video", body.video, "video")):
        operation = await body.to_subtitle(context)
        check_configured(context, SubtitleVideo.pipeline)
    wanted: SubtitleForm = "burned_video" if body.burns else body.response_format or "srt"
    output = SubtitleOutput(format=wanted, response_format=media_form(body.output_format, "video"))
    return await job_answer(call, body, operation, output)


ANSWERS = (Answer(SubtitleVideo, SubtitleOutput, subtitles_body),)
