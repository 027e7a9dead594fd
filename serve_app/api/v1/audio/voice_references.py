"""Whose voice is meant: a recording in the request, or a saved voice."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from serve_app.api.context import Context
from serve_app.api.profile_objects import get_profiles
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.media import Blob


@dataclass(frozen=True)
class VoiceReference:
    """A voice's audio, what it says where that is known, and the field that named it."""

    audio: Blob
    text: str | None
    param: str


async def saved_voice(context: Context, name: str, *, param: str) -> VoiceReference:
    """NotFound for an unknown name, InvalidRequest for what is no name."""
    profile = await (await get_profiles(context)).get("voice", name, param=param)
    return VoiceReference(profile.of("audio")[0].blob, profile.transcript or None, param)


async def recorded_voice(
    context: Context, media: str, *, text: str | None = None, param: str
) -> VoiceReference:
    """A recording in any of the forms of a medium."""
    audio = await context.intake.take(media, param=param, kind="audio")
    return VoiceReference(audio, text or None, param)


@asynccontextmanager
async def reference_named(reference: VoiceReference, *, param: str) -> AsyncGenerator[None]:
    """Engines call the reference's field `param`; errors name the field that the caller sent."""
    with renamed_error_fields({param: reference.param}):
        yield
