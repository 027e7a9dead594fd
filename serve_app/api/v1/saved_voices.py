"""What saved voices mean to speech, while no configured model speaks with one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from serve_app.api.context import Context
from serve_app.api.profile_objects import get_profiles
from serve_app.core.errors import InvalidRequest, NotFound, UnsupportedCapability
from serve_app.core.speech import Speak
from serve_app.profiles.profile import VOICE_NAME


async def check_voice_profile(context: Context, name: str | None) -> None:
    """NotFound for `voice_profile` of an unknown name, InvalidRequest for what is no name."""
    if name is not None:
        await (await get_profiles(context)).get("voice", name, param="voice_profile")


@asynccontextmanager
async def voices_explained(context: Context, operation: Speak) -> AsyncGenerator[None]:
    """A model that does not know a voice says so; of a saved voice the reason is another.

    Presets come first: a saved voice of the same name hides none.
    """
    try:
        yield
    except InvalidRequest as error:
        voice = operation.voice
        if error.param != "voice" or voice is None or not await _is_saved(context, voice):
            raise
        raise UnsupportedCapability(
            f"voice: {voice!r} is a saved voice, and model {operation.model!r} speaks with its "
            f"preset voices only; models that clone: none is configured ({error.message})",
            param="voice",
        ) from error


async def _is_saved(context: Context, name: str) -> bool:
    if VOICE_NAME.fullmatch(name) is None:
        return False
    try:
        await (await get_profiles(context)).get("voice", name)
    except NotFound:
        return False
    return True
