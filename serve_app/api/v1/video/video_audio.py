"""What is to be heard in a video that is made: lines, spoken, and music or noise under them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve_app.api.context import Context
from serve_app.api.v1.audio.speech_body import SpeechBody
from serve_app.api.v1.audio.speech_cloning import speech_request
from serve_app.api.v1.video.video_body import DialogBody, FinishingFields
from serve_app.catalog.audio_selection import select_audio
from serve_app.core.audio.audio_generation import AudioKind
from serve_app.core.audio.speech import CloneSpeech, Speak
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.notices import Notice
from serve_app.core.video.finishing import BackgroundAudio, PlacedLine

KINDS: dict[str, AudioKind] = {"music": "music", "sfx": "sfx", "ambient": "ambient"}
BEGINNINGS: dict[AudioKind, str] = {
    "music": "music for",
    "sfx": "the sound of",
    "ambient": "the ambient sound of",
}
"""What a video's prompt, which says what is seen, becomes a prompt for audio by: in the words of
the captions that such models know.
"""
LIPS_STILL = Notice(
    field="dialogs",
    text="no configured model can synchronise lips; the lines are only spoken",
)


@asynccontextmanager
async def needed_for(field: str) -> AsyncIterator[None]:
    """Within it, that nothing does what `field` asks for is UnsupportedCapability."""
    try:
        yield
    except BackendUnavailable as error:
        raise UnsupportedCapability(error.problem, remedy=error.remedy, param=field) from error


async def background(
    context: Context, audio_type: str | None, prompt: str | None, *, video_prompt: str | None
) -> BackgroundAudio:
    """The audio that `add_audio` asks for, music unless a type is named: as `audio_prompt` says,
    else what fits the video's own prompt. UnsupportedCapability where nothing makes it.
    """
    field = "audio_type" if audio_type else "add_audio"
    kind = KINDS[audio_type or "music"]
    try:
        async with needed_for(field):
            found = await select_audio(context.catalog, kind)
    except UnsupportedCapability as error:
        raise UnsupportedCapability(
            f"{error.message}",
            remedy="or use the type 'speech', which speaks 'audio_prompt'",
            param=field,
        ) from error
    own, of_video = (prompt or "").strip(), (video_prompt or "").strip()
    if not own and not of_video:
        raise InvalidRequest(
            f"the video has no prompt to generate {kind!r} from",
            remedy="describe the audio",
            param="audio_prompt",
        )
    return BackgroundAudio(
        model=found.id, kind=kind, prompt=own or f"{BEGINNINGS[kind]} {of_video}"
    )


async def spoken_prompt(context: Context, prompt: str | None) -> PlacedLine:
    """The line that `audio_prompt` is for the audio type `speech`."""
    if not (prompt or "").strip():
        raise InvalidRequest("speech needs a text to speak", param="audio_prompt")
    speech = await _speech(context, prompt or "", field="audio_prompt")
    return PlacedLine(speech=speech, start_s=0.0, field="audio_prompt")


async def lines(body: FinishingFields, context: Context) -> tuple[PlacedLine, ...]:
    """Everything that is spoken: the narration from the beginning on, then the dialogs."""
    found: list[PlacedLine] = []
    if body.add_audio and body.audio_type == "speech" and not _has_own_audio(body):
        found.append(await spoken_prompt(context, body.audio_prompt))
    if (body.tts_text or "").strip():
        speech = await _speech(
            context,
            body.tts_text or "",
            field="tts_text",
            voice=body.tts_voice,
            voice_field="tts_voice",
            speed=body.tts_speed,
        )
        found.append(PlacedLine(speech=speech, start_s=0.0, field="tts_text"))
    for number, dialog in enumerate(body.dialogs or ()):
        found.append(await _dialog(body, dialog, f"dialogs[{number}]", context))
    return tuple(found)


async def video_background(
    body: FinishingFields, context: Context, *, video_prompt: str | None
) -> BackgroundAudio | None:
    """What is heard under everything else; None where it is speech, or an audio file of the
    caller's.
    """
    if not body.add_audio or body.audio_type == "speech" or _has_own_audio(body):
        return None
    return await background(context, body.audio_type, body.audio_prompt, video_prompt=video_prompt)


def audio_warnings(body: FinishingFields) -> list[Notice]:
    """What is known to be missing, or to have no effect, in what is heard."""
    warnings = []
    if any(dialog.lip_sync is None for dialog in body.dialogs or ()):
        warnings.append(LIPS_STILL)
    if body.add_audio and _has_own_audio(body):
        names = [name for name in ("audio_type", "audio_prompt") if getattr(body, name)]
        said = "has no effect together with an audio file"
        warnings += [Notice(field=name, text=said) for name in names]
    return warnings


def _has_own_audio(body: FinishingFields) -> bool:
    """Whether what is asked for by `add_audio` is there already."""
    if body.audio_file is not None:
        return True
    is_speech = body.audio_type in (None, "speech") and body.audio_prompt is None
    return is_speech and bool(body.tts_text or body.dialogs)


async def _dialog(
    body: FinishingFields, dialog: DialogBody, field: str, context: Context
) -> PlacedLine:
    if dialog.lip_sync:
        raise UnsupportedCapability(
            "no configured model can synchronise lips", param=f"{field}.lip_sync"
        )
    speech = await _speech(
        context,
        dialog.text,
        field=f"{field}.text",
        voice=dialog.voice or body.tts_voice,
        voice_field=f"{field}.voice" if dialog.voice else "tts_voice",
        speed=dialog.speed or body.tts_speed,
        language=dialog.lang,
        language_field=f"{field}.lang",
    )
    return PlacedLine(
        speech=speech, start_s=dialog.start_time, speaker=dialog.character, field=field
    )


async def _speech(
    context: Context,
    text: str,
    *,
    field: str,
    voice: str | None = None,
    voice_field: str = "voice",
    speed: float | None = None,
    language: str | None = None,
    language_field: str = "language",
) -> Speak | CloneSpeech:
    """As the speech route speaks it; errors name the fields of this request."""
    own = {"input": field, "voice": voice_field, "language": language_field}
    requested = {"input": text, "voice": voice, "speed": speed, "language": language}
    with renamed_error_fields(own):
        async with needed_for(field):
            utterance = await speech_request(
                context, SpeechBody.model_validate(requested), default="wav"
            )
    return utterance.operation
