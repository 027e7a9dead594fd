"""In which languages a video that is made is spoken and read."""

from serve_app.api.v1.audio.spoken_models import known_language, known_locale
from serve_app.api.v1.video.dubbing import NO_STEMS, to_dubbing
from serve_app.api.v1.video.video_audio import needed_for
from serve_app.api.v1.video.video_body import FinishingFields
from serve_app.catalog.catalog import Catalog
from serve_app.catalog.transcription_routing import request_language, select
from serve_app.core.choices import explicit
from serve_app.core.error_fields import Fields, renamed_error_fields
from serve_app.core.errors import InvalidRequest
from serve_app.core.notices import Notice
from serve_app.core.text.languages import language_code
from serve_app.core.video.dubbing import Dubbing
from serve_app.core.video.subtitling import Subtitling

ENGLISH = "en"


async def dubbing(body: FinishingFields, catalog: Catalog, *, has_speech: bool) -> Dubbing | None:
    """How the video is dubbed. The other audio files of it are kept where something can."""
    if not body.dub_video:
        return None
    if not has_speech:
        raise _silent("dub_video")
    if body.dub_target_lang is None:
        raise InvalidRequest("dubbing needs a language, such as 'de'", param="dub_target_lang")
    source = body.dub_source_lang and known_language(body.dub_source_lang, "dub_source_lang")
    with renamed_error_fields(_named(body.whisper_model)):
        async with needed_for("dub_video"):
            return await to_dubbing(
                catalog,
                target=known_locale(body.dub_target_lang, "dub_target_lang"),
                source=source,
                model=body.whisper_model,
                clones_voice=bool(body.voice_clone),
                keeps_background=True,
            )


async def subtitling(
    body: FinishingFields, catalog: Catalog, *, has_speech: bool, is_known: bool
) -> Subtitling | None:
    """How the video is subtitled; what `is_known` to be said is not transcribed."""
    field = "generate_subtitles" if body.generate_subtitles else "burn_subtitles"
    if not getattr(body, field):
        return None
    if not has_speech:
        raise _silent(field)
    target = _target(body)
    async with needed_for(field):
        language = body.subtitle_language
        transcription = (
            None if is_known else _transcription_model(catalog, body.whisper_model, language)
        )
        translation = catalog.find("translation", None).id if target else None
    is_english = target is not None and language_code(target) == ENGLISH
    can_translate = (
        transcription is not None
        and catalog.find("transcription", transcription).model.can_translate
    )
    return Subtitling(
        transcription_model=transcription,
        translation_model=translation,
        language=_language(body, catalog, transcription),
        target_language=target,
        is_translated_while_transcribed=is_english and can_translate,
        style=body.subtitle_style or "default",
    )


def language_warnings(
    body: FinishingFields, dubbed: Dubbing | None, *, is_known: bool
) -> list[Notice]:
    """What is known to be missing, or to have no effect."""
    warnings = []
    if dubbed is not None and dubbed.stems_model is None:
        warnings.append(Notice(field="dub_video", text=NO_STEMS))
    if body.whisper_model is not None and is_known:
        said = "has no effect, because the words are known"
        warnings.append(Notice(field="whisper_model", text=said))
    return warnings


def _target(body: FinishingFields) -> str | None:
    if not body.translate_subtitles:
        return None
    if body.subtitle_target_lang is None:
        return ENGLISH
    return known_locale(body.subtitle_target_lang, "subtitle_target_lang")


def _transcription_model(catalog: Catalog, name: str | None, language: str | None) -> str:
    with renamed_error_fields(_named(name)):
        return select(catalog, name, language).id


def _language(body: FinishingFields, catalog: Catalog, transcription: str | None) -> str | None:
    """The code of the spoken language, None to detect it."""
    text = explicit(body.subtitle_language)
    if text is None:
        return None
    if transcription is None:
        return known_language(text, "subtitle_language")
    with renamed_error_fields({"language": "subtitle_language"}):
        return request_language(text, catalog.find("transcription", transcription).model)


def _named(model: str | None) -> Fields:
    """What a transcription model is called here, where the caller has named one."""
    return {} if model is None else {"model": "whisper_model"}


def _silent(field: str) -> InvalidRequest:
    return InvalidRequest(
        "the video has no speech",
        remedy="send 'dialogs', 'tts_text', 'audio_file' or a source video",
        param=field,
    )
