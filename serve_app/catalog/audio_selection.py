"""Which model makes an audio file: one whose family is configured for that kind of it."""

from serve_app.catalog.catalog import Catalog, Found
from serve_app.core.audio.audio_generation import AudioKind
from serve_app.core.errors import BackendUnavailable, UnsupportedCapability
from serve_app.core.options.audio import AudioGenerationOptions
from serve_app.core.tasks import TASKS


async def select_audio(catalog: Catalog, kind: AudioKind) -> Found:
    """The default model if it makes this kind, else the first that does; what has failed to load
    comes last. BackendUnavailable when there is none at all, UnsupportedCapability when those that
    there are make other kinds.
    """
    every = catalog.every("sound")
    if not every:
        raise BackendUnavailable(
            f"no model that generates audio is configured; add a family to the configuration"
            f"{TASKS['sound'].suggestion}",
            provider="sound",
        )
    able = [found for found in every if kind in kinds_of(found)]
    if not able:
        listed = ", ".join(f"{found.id!r} makes {_or(kinds_of(found))}" for found in every)
        raise UnsupportedCapability(f"no configured model makes {kind!r}; {listed}")
    preferred = catalog.config.defaults.of("sound")
    default = None if preferred is None else catalog.find("sound", preferred).id
    statuses = await catalog.statuses()

    def rank(found: Found) -> tuple[bool, bool]:
        status = statuses.get(found.id)
        return status is not None and status.state == "failed", found.id != default

    return min(able, key=rank)


def kinds_of(found: Found) -> tuple[AudioKind, ...]:
    """What the model's family is configured to make."""
    options = found.family.options
    return (
        options.kinds
        if isinstance(options, AudioGenerationOptions)
        else ("music", "sfx", "ambient")
    )


def _or(kinds: tuple[AudioKind, ...]) -> str:
    return " or ".join(map(repr, kinds))
