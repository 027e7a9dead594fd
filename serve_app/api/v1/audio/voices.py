"""/v1/audio/voices: saved voices, and the presets of the speech models."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.access.tokens import Principal
from serve_app.api.charged_work import charged, check_budget
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.json_answer import json_response
from serve_app.api.profile_objects import ProfilesDep, voice_object
from serve_app.api.v1.audio.voice_body import (
    VoiceBody,
    VoiceExtractBody,
    VoicePatch,
    extracted_audio,
    read_voice,
    stored_audio,
    voice_clips,
)
from serve_app.api.v1.audio.voice_presets import preset_voices
from serve_app.api.v1.wire import ERRORS
from serve_app.catalog.transcription_routing import select
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import Unavailable
from serve_app.core.media import Blob
from serve_app.core.notices import Notice
from serve_app.database.text import storable
from serve_app.profiles.profile import (
    NewProfileItem,
    Profile,
    ProfileChange,
    check_count,
    checked_name,
)
from serve_app.runtime.streams import gathered

router = APIRouter(tags=["profiles"], responses=ERRORS)
AUDIO = {"type": "string", "format": "binary"}
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["name", "audio"],
                    "properties": {"audio": AUDIO}
                    | VoiceBody.model_json_schema(by_alias=False)["properties"],
                }
            }
        },
    }
}


@router.get("/v1/audio/voices")
async def list_voices(context: ContextDep, profiles: ProfilesDep) -> Response:
    """List the saved voices of all users, oldest first, and the presets."""
    saved = await profiles.all("voice")
    answer = {
        "voices": [voice_object(context, profile) for profile in saved],
        "presets": await preset_voices(context),
        "uploaded_voices": [_uploaded(profile) for profile in saved],
    }
    return json_response(answer)


@router.post("/v1/audio/voices", openapi_extra=FORM)
async def save_voice(
    request: Request, context: ContextDep, profiles: ProfilesDep, principal: PrincipalDep
) -> Response:
    """Save or replace a voice. Without a transcript, the audio is transcribed."""
    body, audio = await read_voice(request, context)
    checked_name(body.name, "voice")
    transcript, warnings = await _transcript(context, principal, body.transcript, audio)
    profile = await profiles.save(
        "voice",
        body.name,
        by=principal,
        description=body.description,
        transcript=transcript,
        items=[NewProfileItem(role="audio", text="", blob=audio)],
    )
    answer = {"created": True, "success": True, "voice": voice_object(context, profile)}
    return json_response(answer | warnings, body.ignored())


@router.post("/v1/audio/voices/extract")
async def extract_voice(
    body: VoiceExtractBody,
    context: ContextDep,
    profiles: ProfilesDep,
    principal: PrincipalDep,
) -> Response:
    """Save a voice from a recording or a video."""
    checked_name(body.name, "voice")
    audio = await extracted_audio(context, body)
    transcript, warnings = await _transcript(
        context, principal, body.transcript, audio, field=body.source
    )
    profile = await profiles.save(
        "voice",
        body.name,
        by=principal,
        description=body.description,
        transcript=transcript,
        items=[NewProfileItem(role="audio", text="", blob=audio)],
    )
    answer = {"created": True, "voice": voice_object(context, profile)}
    return json_response(answer | warnings, body.ignored())


@router.get("/v1/audio/voices/{name:path}")
async def read_voice_profile(name: str, context: ContextDep, profiles: ProfilesDep) -> Response:
    """Read one saved voice."""
    profile = await profiles.get("voice", name)
    return json_response({"voice": voice_object(context, profile)})


@router.patch("/v1/audio/voices/{name:path}")
async def change_voice(
    name: str,
    body: VoicePatch,
    context: ContextDep,
    profiles: ProfilesDep,
    principal: PrincipalDep,
) -> Response:
    """Change texts, audio and clips. New audio without a transcript is transcribed."""
    await profiles.owned("voice", name, by=principal)
    check_count(len(body.add_clips))
    items = await voice_clips(context, body.add_clips)
    transcript = body.transcript
    warnings: dict[str, list[str]] = {}
    if body.audio is not None:
        audio = await stored_audio(context, body.audio, param="audio")
        items.append(NewProfileItem(role="audio", text="", blob=audio))
        transcript, warnings = await _transcript(context, principal, transcript or "", audio)
    change = ProfileChange(
        description=body.description,
        transcript=transcript,
        role="clip",
        remove=tuple(body.remove_clips),
        remove_param="remove_clips",
        add=tuple(items),
    )
    profile = await profiles.change("voice", name, change, by=principal)
    voice = voice_object(context, profile)
    answer = {"updated": True, "voice": voice, "clips": voice["clips"]}
    return json_response(answer | warnings, body.ignored())


@router.delete("/v1/audio/voices/{name:path}")
async def delete_voice(name: str, profiles: ProfilesDep, principal: PrincipalDep) -> Response:
    """Delete a saved voice with its recordings."""
    await profiles.delete("voice", name, by=principal)
    return json_response({"deleted": True, "success": True, "name": name})


async def _transcript(
    context: Context, principal: Principal, given: str, audio: Blob, *, field: str = "audio"
) -> tuple[str, dict[str, list[str]]]:
    """What is said: as given, or as the transcription model says. Without one, nothing and a
    warning: a voice can be told its transcript later.
    """
    if given.strip():
        return given, {}
    try:
        model = select(context.catalog, None, None)
        with renamed_error_fields({"audio": field}):
            await check_budget(context, principal)
            with charged(context, principal):
                operation = Transcribe(model=model.id, audio=audio)
                events = await gathered(model.counted.run(operation))
    except Unavailable as error:
        left = Notice(field="transcript", text=f"left empty, because {error.message}")
        return "", {"warnings": [str(left)]}
    texts = [event.text for event in events if isinstance(event, Transcript)]
    return storable("".join(texts)), {}


def _uploaded(profile: Profile) -> dict[str, Any]:
    audio = profile.of("audio")[0].blob
    entry: dict[str, Any] = {
        "name": profile.name,
        "created_at": int(profile.created_at),
        "mime_type": audio.mime,
        "file_size": audio.size,
    }
    if profile.transcript:
        entry["ref_text"] = profile.transcript
    if profile.description:
        entry["speaker_description"] = profile.description
    return entry
