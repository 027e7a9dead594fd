"""The bodies of the voice routes, from a form or from JSON, and their way to stored audio."""

import asyncio
from typing import Any

from pydantic import AliasChoices, Field, ValidationError
from starlette.requests import Request

from serve_app.api.context import Context
from serve_app.api.errors import from_validation_errors
from serve_app.api.json_body import read_json_object
from serve_app.api.multipart import body_kind, read_form
from serve_app.api.request_body import Body
from serve_app.api.v1.library.profile_body import LongText
from serve_app.api.wire_types import Integer, Media, Text
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import Blob
from serve_app.core.video.processing import ExtractAudio
from serve_app.profiles.profile import NewProfileItem
from serve_app.profiles.recordings import check_audio

AUDIO_FIELDS = ("audio", "audio_sample")


class VoiceBody(Body):
    """POST /v1/audio/voices without its audio. The name is checked where it is used."""

    name: Text
    transcript: LongText = Field(
        default="", validation_alias=AliasChoices("transcript", "ref_text")
    )
    description: LongText = Field(
        default="", validation_alias=AliasChoices("description", "speaker_description")
    )
    consent: Any = None

    def without_effect(self) -> list[str]:
        """Consent is the caller's to have."""
        return self.sent("consent")


class ClipBody(Body):
    """An additional recording of a voice."""

    audio: Media
    transcript: LongText = ""


class VoicePatch(Body):
    """PATCH /v1/audio/voices/{name}: clips are removed before others are added."""

    description: LongText | None = None
    transcript: LongText | None = None
    audio: Media | None = None
    add_clips: list[ClipBody] = Field(default_factory=list)
    remove_clips: list[Integer] = Field(default_factory=list)


class VoiceExtractBody(Body):
    """POST /v1/audio/voices/extract: a voice from a recording or a video."""

    name: Text
    description: LongText = ""
    transcript: LongText = ""
    audio: Media | None = None
    video: Media | None = None

    def without_effect(self) -> list[str]:
        """A recording goes before a video."""
        return ["video"] if self.audio is not None and self.video is not None else []

    @property
    def source(self) -> str:
        """The field that the voice is taken from."""
        return "video" if self.audio is None and self.video is not None else "audio"


async def read_voice(request: Request, context: Context) -> tuple[VoiceBody, Blob]:
    """The fields and the stored audio of a multipart form or a JSON body."""
    if body_kind(request, param="audio") == "form":
        form = await read_form(
            request, intake=context.intake, file_fields=AUDIO_FIELDS, kind="audio"
        )
        text_fields = form.text_fields(
            free=("transcript", "ref_text", "description", "speaker_description")
        )
        values: dict[str, Any] = {name: texts[-1] for name, texts in text_fields.items()}
        uploads = [blob for field in AUDIO_FIELDS for blob in form.files.get(field, ())]
    else:
        values, uploads = await read_json_object(request), []
    media = [values.pop(field, None) for field in AUDIO_FIELDS]
    body = _validated(values)
    if uploads:
        return body, await decodable(context, uploads[0], param="audio")
    given = next((value for value in media if isinstance(value, str) and value), None)
    if given is None:
        raise InvalidRequest("a recording is required", param="audio")
    return body, await stored_audio(context, given, param="audio")


async def stored_audio(context: Context, media: str, *, param: str) -> Blob:
    """An audio file in any of the forms of a medium, stored."""
    blob = await context.intake.take(media, param=param, kind="audio")
    return await decodable(context, blob, param=param)


async def decodable(context: Context, audio: Blob, *, param: str) -> Blob:
    """The audio. InvalidRequest when nothing can be heard of it, now and not when it is used."""
    async with context.blobs.local_file(audio) as path:
        await asyncio.to_thread(check_audio, path, param=param)
    return audio


async def voice_clips(context: Context, clips: list[ClipBody]) -> list[NewProfileItem]:
    """The clips, stored as they were sent."""
    items: list[NewProfileItem] = []
    for position, clip in enumerate(clips):
        param = f"add_clips[{position}].audio"
        blob = await stored_audio(context, clip.audio, param=param)
        items.append(NewProfileItem(role="clip", text=clip.transcript, blob=blob))
    return items


async def extracted_audio(context: Context, body: VoiceExtractBody) -> Blob:
    """The audio of `audio`, or of `video` as the media family takes it out."""
    if body.audio is not None:
        blob = await context.intake.take(body.audio, param="audio", kind="audio")
        if not blob.mime.startswith("video/"):
            return await decodable(context, blob, param="audio")
    elif body.video is not None:
        blob = await context.intake.take(body.video, param="video", kind="video")
    else:
        raise InvalidRequest("send 'audio' or 'video' with the voice", param="audio")
    with renamed_error_fields({"video": body.source}):
        extracted = await context.catalog.answer(ExtractAudio(video=blob))
        return extracted.audio


def _validated(values: dict[str, Any]) -> VoiceBody:
    try:
        return VoiceBody.model_validate(values)
    except ValidationError as error:
        raise from_validation_errors(error.errors(), values) from None
