"""What a speech request asks for: a preset voice, or one that is cloned from a recording or from a
saved voice.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from serve_app.api.context import Context
from serve_app.api.v1.audio.speech_body import SpeechBody
from serve_app.api.v1.audio.voice_references import (
    VoiceReference,
    recorded_voice,
    reference_named,
    saved_voice,
)
from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.catalog.clone_selection import select_clone
from serve_app.core.audio.speech import (
    OPENAI_VOICES,
    AudioFormat,
    CloneEvent,
    CloneSpeech,
    ListVoices,
    Speak,
    SpeechEvent,
)
from serve_app.core.errors import InvalidRequest, NotFound
from serve_app.core.message import Progress
from serve_app.profiles.profile import VOICE_NAME
from serve_app.runtime.streams import closing


@dataclass(frozen=True)
class SpeechRequest:
    """The operation of a speech request, and the reference that it clones."""

    operation: Speak | CloneSpeech
    reference: VoiceReference | None

    def events(self, catalog: Catalog) -> AsyncIterator[SpeechEvent]:
        """Its audio, straight from its family."""
        if isinstance(self.operation, Speak):
            return catalog.run(self.operation)
        return _without_progress(catalog.run(self.operation))

    def explained(self) -> AbstractAsyncContextManager[None]:
        """Within it, errors name the field that the caller sent."""
        if self.reference is None:
            return nullcontext()
        return reference_named(self.reference, param="ref_audio")


async def speech_request(
    context: Context, body: SpeechBody, *, default: AudioFormat = "mp3"
) -> SpeechRequest:
    """What the body asks for. Presets go before saved voices of the same name. NotFound for an
    unknown profile, UnsupportedCapability for a reference that no model takes.
    """
    reference = await _reference(context, body)
    if reference is None:
        found = body.found(context.catalog)
        return SpeechRequest(body.to_speak(found, default=default), None)
    found = select_clone(context.catalog, body.model_name(), param=reference.param)
    return SpeechRequest(body.to_clone(found, reference, default=default), reference)


async def _reference(context: Context, body: SpeechBody) -> VoiceReference | None:
    """A recording goes before a profile, a profile before a voice."""
    task = body.task()
    if task == "customvoice" and body.ref_audio is not None:
        raise InvalidRequest(
            "CustomVoice uses an existing voice",
            remedy="leave out 'ref_audio', or send VoiceClone",
            param="task_type",
        )
    if body.ref_audio is not None:
        return await recorded_voice(context, body.ref_audio, text=body.ref_text, param="ref_audio")
    if body.voice_profile is not None:
        return await saved_voice(context, body.voice_profile, param="voice_profile")
    reference = await _saved(context, body)
    if task == "clone" and reference is None:
        raise InvalidRequest(
            "cloning needs a recording of the voice, or the 'voice_profile' of a saved voice",
            param="ref_audio",
        )
    return reference


async def _saved(context: Context, body: SpeechBody) -> VoiceReference | None:
    """The saved voice that `voice` names, unless the model has a preset of that name."""
    name = body.voice_name()
    if name is None or name in OPENAI_VOICES or VOICE_NAME.fullmatch(name) is None:
        return None
    try:
        reference = await saved_voice(context, name, param="voice")
    except NotFound:
        return None
    found = body.found(context.catalog)
    return None if await _is_preset(context.catalog, found, name) else reference


async def _is_preset(catalog: Catalog, found: CatalogEntry, name: str) -> bool:
    listed = await catalog.answer(ListVoices(model=found.id))
    return any(voice.name == name for voice in listed.voices)


async def _without_progress(events: AsyncIterator[CloneEvent]) -> AsyncGenerator[SpeechEvent]:
    async with closing(events):
        async for event in events:
            if not isinstance(event, Progress):
                yield event
