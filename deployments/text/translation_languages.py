"""The languages of translation checkpoints, whose codes are of many kinds: `de`, `deu_Latn`,
`>>pt_br<<`, `cmn_Hans`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from serve_app.core.errors import InvalidRequest
from serve_app.core.text.languages import language_code
from serve_app.core.text.translation import TranslationFacts

# ISO 639-3's name for the usual one of a group that has a shorter code of its own, as NLLB has it.
_GROUPS = """
als sq|arb ar|ayr ay|cmn zh|fuv ff|gaz om|khk mn|lvs lv|nb no|ns nso|pbt ps|pes fa|plt mg|quy qu
uzn uz|ydd yi|zsm ms
"""
_GROUP = dict(entry.split() for entry in _GROUPS.strip().replace("\n", "|").split("|"))
_SCRIPTS = {
    "zh": {"cn": "hans", "sg": "hans", "tw": "hant", "hk": "hant", "mo": "hant"},
    "yue": {"hk": "hant", "mo": "hant"},
}
"""What a region writes, where its language is written in several ways."""
UNSPACED = frozenset({"bo", "ja", "km", "lo", "my", "th", "yue", "zh"})
"""Written without spaces between sentences."""


class LanguageTag(NamedTuple):
    """A language, and the scripts and regions that its code goes on with."""

    language: str
    rest: tuple[str, ...]

    def __str__(self) -> str:
        return "-".join((self.language, *self.rest))


class Route(NamedTuple):
    """From where to where, in the checkpoint's codes; None where its inputs name no language."""

    source: str | None
    target: str | None
    is_spaced: bool


def tag_of(code: str) -> LanguageTag:
    """Read any of the forms of a code."""
    language, *rest = code.strip("<>_ ").lower().replace("_", "-").split("-")
    # First the group: Mandarin alone has a code of its own among the names of languages.
    short = _GROUP.get(language) or language_code(language) or language
    return LanguageTag(short, tuple(part for part in rest if part))


class CodedLanguages:
    """What a checkpoint calls the languages that it knows."""

    def __init__(self, codes: Iterable[str]) -> None:
        self._codes: dict[LanguageTag, str] = {}
        for code in codes:
            self._codes.setdefault(tag_of(code), code)

    def __bool__(self) -> bool:
        return bool(self._codes)

    def only(self, languages: Iterable[str]) -> "CodedLanguages":
        """Those of these languages."""
        kept = {tag_of(name).language for name in languages}
        return CodedLanguages(c for tag, c in self._codes.items() if tag.language in kept)

    def nearest(self, name: str) -> str | None:
        """The code for a language: with the script or the region that was named where there is
        one, else the plainest, else the first.
        """
        requested = tag_of(name)
        written = {_SCRIPTS.get(requested.language, {}).get(part, part) for part in requested.rest}
        wanted = {*requested.rest, *written}
        same = [tag for tag in self._codes if tag.language == requested.language]
        best = min(same, key=lambda t: (-len(wanted & {*t.rest}), len(t.rest)), default=None)
        return None if best is None else self._codes[best]

    @property
    def names(self) -> tuple[str, ...]:
        """The languages' codes, with what follows it where a language has several."""
        languages = [tag.language for tag in self._codes]
        return tuple(
            str(tag) if languages.count(tag.language) > 1 else tag.language for tag in self._codes
        )


class CheckpointLanguages:
    """The ways that a checkpoint can go. `sources` None takes any; with `names_source` or
    `names_target` the input tells the model which it is.
    """

    def __init__(
        self,
        model_id: str,
        *,
        sources: CodedLanguages | None,
        targets: CodedLanguages,
        names_source: bool,
        names_target: bool,
    ) -> None:
        self._model_id = model_id
        self._sources = sources
        self._targets = targets
        self._names_source = names_source
        self._names_target = names_target
        self.facts = TranslationFacts(
            sources=None if sources is None else sources.names, targets=targets.names
        )

    def route(self, source: str | None, target: str, *, needs_source: bool) -> Route:
        """InvalidRequest with `param` `source_language` or `target_language` for a way that it
        cannot go. Without texts the source may still be unknown.
        """
        to = self._targets.nearest(target)
        if to is None:
            raise InvalidRequest(
                f"model {self._model_id!r} does not translate to {target!r}",
                remedy=f"it translates to: {', '.join(self._targets.names)}",
                param="target_language",
            )
        if source is None and needs_source and self._names_source:
            raise InvalidRequest(
                f"model {self._model_id!r} needs the source language",
                param="source_language",
            )
        return Route(
            self._source(source),
            to if self._names_target else None,
            is_spaced=tag_of(target).language not in UNSPACED,
        )

    def _source(self, source: str | None) -> str | None:
        if self._sources is None or source is None:
            return None
        found = self._sources.nearest(source)
        if found is None:
            raise InvalidRequest(
                f"model {self._model_id!r} does not translate from {source!r}",
                remedy=f"it translates from: {', '.join(self._sources.names)}",
                param="source_language",
            )
        return found if self._names_source else None
