"""The voices and the language of a model that has its own: names to speakers, and what is said when
somebody asks for another one.
"""

from collections.abc import Iterable, Mapping, Sequence

from serve_app.core.audio.speech import OPENAI_VOICES, Voice
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.notices import Notice
from serve_app.core.text.languages import language_code

LISTED = 40


class PresetVoices:
    """A model's speakers, of which there is at least one. OpenAI's names that are no speaker's
    stand for those of `stand_ins`, else for the speakers in turn. BackendUnavailable for a
    `default` that is no speaker.
    """

    def __init__(
        self,
        speakers: Sequence[str],
        *,
        default: str | None,
        stand_ins: Mapping[str, str] | None = None,
    ) -> None:
        if default is not None and default not in speakers:
            raise BackendUnavailable(
                f"options.voice: unknown voice {default[:100]!r}",
                remedy=f"voices: {_listed(speakers)}",
            )
        self._default = speakers[0] if default is None else default
        self._named = {name: name for name in (self._default, *speakers)}
        for k, name in enumerate(OPENAI_VOICES):
            speaker = speakers[k % len(speakers)]
            self._named.setdefault(name, (stand_ins or {}).get(name, speaker))
        self._folded = {name.lower(): speaker for name, speaker in self._named.items()}

    def listing(self, language: str | None) -> tuple[Voice, ...]:
        """The default, the other speakers, OpenAI's names."""
        return tuple(Voice(name=name, language=language) for name in self._named)

    def speaker(self, name: str | None) -> str:
        """The speaker of a name, in any case; None is the default. InvalidRequest lists them."""
        if name is None:
            return self._default
        requested = name.strip()
        found = self._named.get(requested) or self._folded.get(requested.lower())
        if found is None:
            raise InvalidRequest(
                f"unknown voice {name[:100]!r}",
                remedy=f"voices: {_listed(list(self._named))}",
                param="voice",
            )
        return found


class OwnLanguages:
    """The languages that a model speaks, as far as anybody said."""

    def __init__(self, model_id: str, languages: Iterable[str]) -> None:
        self._model_id = model_id
        self._codes = {language_code(name) or name for name in languages}

    @property
    def only(self) -> str | None:
        """The language of a model that has one."""
        return next(iter(self._codes)) if len(self._codes) == 1 else None

    def warnings(self, requested: str | None) -> tuple[Notice, ...]:
        """InvalidRequest for a language that is not among those that are known; a warning when
        none is.
        """
        code = language_code(requested) if requested else None
        if code is None or code in self._codes:
            return ()
        if not self._codes:
            said = f"language {requested!r} had no effect: the model declares no languages"
            return (Notice(text=said),)
        raise InvalidRequest(
            f"model {self._model_id!r} does not speak {requested!r}",
            remedy=f"languages: {', '.join(sorted(self._codes))}",
            param="language",
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (" …" if len(names) > LISTED else "")
