"""Which model makes a sound: one whose family is configured for that kind of it."""

from serve_app.core.errors import BackendUnavailable, UnsupportedCapability
from serve_app.core.options import SoundOptions
from serve_app.core.sound import SoundKind, SoundModel
from serve_app.models import Found, Models
from serve_app.task_names import EXAMPLES


async def select_sound(models: Models, kind: SoundKind) -> Found[SoundModel]:
    """The default model if it makes this kind, else the first that does; what has failed to load
    comes last. BackendUnavailable when there is none at all, UnsupportedCapability when those that
    there are make other kinds.
    """
    every = models.sound.every()
    if not every:
        raise BackendUnavailable(
            f"no model that makes sound is configured; add a family to the configuration"
            f"{EXAMPLES['sound']}",
            provider="sound",
        )
    able = [found for found in every if kind in kinds_of(found)]
    if not able:
        listed = ", ".join(f"{found.id!r} makes {_or(kinds_of(found))}" for found in every)
        raise UnsupportedCapability(f"no configured model makes {kind!r}; {listed}")
    preferred = models.config.defaults.sound
    default = None if preferred is None else models.sound(preferred).id
    statuses = await models.statuses()

    def rank(found: Found[SoundModel]) -> tuple[bool, bool]:
        status = statuses.get(found.id)
        return status is not None and status.state == "failed", found.id != default

    return min(able, key=rank)


def kinds_of(found: Found[SoundModel]) -> tuple[SoundKind, ...]:
    """What the model's family is configured to make."""
    options = found.family.options
    return options.kinds if isinstance(options, SoundOptions) else ("music", "sfx", "ambient")


def _or(kinds: tuple[SoundKind, ...]) -> str:
    return " or ".join(map(repr, kinds))
