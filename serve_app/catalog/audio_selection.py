"""Which model generates audio: one whose family is configured for the kind asked for."""

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.catalog.ranked_models import ranked_models
from serve_app.core.audio.audio_generation import AudioKind
from serve_app.core.errors import BackendUnavailable, UnsupportedCapability
from serve_app.core.options.audio import AudioGenerationOptions
from serve_app.core.tasks import TASKS


async def select_audio(catalog: Catalog, kind: AudioKind) -> CatalogEntry:
    """The default model if it makes this kind, else the first that does; what has failed to load
    comes last. BackendUnavailable when there is none at all, UnsupportedCapability when those that
    there are make other kinds.
    """
    every = (await ranked_models(catalog, "sound")).in_turn
    if not every:
        raise BackendUnavailable(
            "no model that generates audio is configured",
            remedy=f"add a family to the configuration{TASKS['sound'].suggestion}",
            provider="sound",
        )
    for found in every:
        if kind in kinds_of(found):
            return found
    listed = ", ".join(
        f"{found.id!r} generates {_or(kinds_of(found))}" for found in catalog.every("sound")
    )
    raise UnsupportedCapability(f"no configured model generates {kind!r}", remedy=f"{listed}")


def kinds_of(found: CatalogEntry) -> tuple[AudioKind, ...]:
    """What the model's family is configured to make."""
    options = found.family.options
    return (
        options.kinds
        if isinstance(options, AudioGenerationOptions)
        else ("music", "sfx", "ambient")
    )


def _or(kinds: tuple[AudioKind, ...]) -> str:
    return " or ".join(map(repr, kinds))
