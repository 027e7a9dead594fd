"""Profiles on the wire, for the native routes and the administration."""

from typing import Annotated, Any

from fastapi import Depends

from serve_app.api.context import Context, ContextDep
from serve_app.api.json_answer import StoredBase64
from serve_app.blobs.sniff import extension_of
from serve_app.blobs.store import filename
from serve_app.core.errors import NotFound
from serve_app.core.media import Blob
from serve_app.profiles.profile import Kind, Profile
from serve_app.profiles.profiles import Profiles

LIST_KEYS: dict[Kind, str] = {
    "character": "characters",
    "environment": "environments",
    "voice": "voices",
}


async def get_profiles(context: ContextDep) -> Profiles:
    """The saved profiles."""
    return Profiles(context.database, context.blobs.url)


ProfilesDep = Annotated[Profiles, Depends(get_profiles)]


def summary(profile: Profile) -> dict[str, Any]:
    """A character or an environment in a list."""
    return {
        "name": profile.name,
        "description": profile.description,
        "image_count": len(profile.items),
        "created_at": int(profile.created_at),
    }


def detail(context: Context, profile: Profile) -> dict[str, Any]:
    """A character or an environment with its images."""
    images = [{"label": item.text, "data": data_url(context, item.blob)} for item in profile.items]
    return summary(profile) | {"images": images}


def voice_object(context: Context, profile: Profile) -> dict[str, Any]:
    """A saved voice."""
    audio = profile.of("audio")[0].blob
    return {
        "name": profile.name,
        "description": profile.description,
        "transcript": profile.transcript,
        "audio_url": blob_url(context, audio),
        "audio_file": filename(audio),
        "audio_ext": extension_of(audio.mime),
        "clips": [
            {"url": blob_url(context, clip.blob), "transcript": clip.text}
            for clip in profile.of("clip")
        ],
        "created_at": int(profile.created_at),
    }


def blob_url(context: Context, blob: Blob) -> str:
    """Where the bytes are downloaded."""
    return context.files.url(filename(blob))


def data_url(context: Context, blob: Blob) -> StoredBase64:
    """The bytes themselves."""
    return StoredBase64(context.blobs, blob, prefix=f"data:{blob.mime};base64,")


def thumbnail(profile: Profile) -> Blob:
    """The first reference image. NotFound for a voice."""
    images = profile.of("image")
    if not images:
        raise NotFound(f"the {profile.kind} {profile.name!r} has no image", param="name")
    return images[0].blob
