"""Which models dub a video."""

from serve_app.api.v1.audio.spoken_models import spoken_models
from serve_app.catalog.catalog import Catalog
from serve_app.catalog.clone_selection import select_clone
from serve_app.catalog.stem_selection import select_stems
from serve_app.core.errors import BackendUnavailable
from serve_app.core.video.dubbing import Dubbing

NO_STEMS = "no stem separation model is available; only the new voice is kept"


async def to_dubbing(
    catalog: Catalog,
    *,
    target: str,
    source: str | None,
    model: str | None,
    voice: str | None = None,
    clones_voice: bool,
    keeps_background: bool,
    burns_subtitles: bool = False,
) -> Dubbing:
    """From and to codes of languages. `model` transcribes or translates, the other is the default.
    Without a model that separates stems the background is lost.
    """
    transcription, translation = spoken_models(catalog, model, source)
    speech = (
        select_clone(catalog, None, param="voice_clone")
        if clones_voice
        else catalog.find("speech", None)
    )
    return Dubbing(
        target_language=target,
        source_language=source,
        transcription_model=transcription,
        translation_model=translation,
        speech_model=speech.id,
        voice=None if clones_voice else voice,
        clones_voice=clones_voice,
        stems_model=await _stems(catalog) if keeps_background else None,
        burns_subtitles=burns_subtitles,
    )


async def _stems(catalog: Catalog) -> str | None:
    try:
        chosen = await select_stems(catalog, stem_mode="vocals-instrumental", allows_fallback=True)
        return chosen.model.id
    except BackendUnavailable:
        return None
