"""Which speech recognition model a request means: OpenAI's names, Whisper sizes, families, and
routing by language. The rules are data over the catalog's ids; nothing here loads anything.
"""

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.choices import explicit
from serve_app.core.config import Model
from serve_app.core.errors import (
    BackendUnavailable,
    InvalidRequest,
    ModelNotFound,
    UnsupportedCapability,
)
from serve_app.core.text.languages import language_code

SIZES = (
    "tiny",
    "tiny.en",
    "base",
    "base.en",
    "small",
    "small.en",
    "medium",
    "medium.en",
    "large-v1",
    "large-v2",
    "large-v3",
    "large-v3-turbo",
    "distil-large-v3",
)
SENSEVOICE_LANGUAGES = frozenset({"zh", "yue", "ja", "ko"})
PARAKEET_LANGUAGES = frozenset(
    ("en", "bg", "hr", "cs", "da", "nl", "et", "fi", "fr", "de", "el", "hu", "it")
) | {"lv", "lt", "mt", "pl", "pt", "ro", "sk", "sl", "es", "sv", "ru", "uk"}

Asr = CatalogEntry


def select(
    catalog: Catalog, name: str | None, language: str | None, *, translates: bool = False
) -> Asr:
    """The model for a request; where it names none, one that `translates` if that is asked for.
    ModelNotFound for an unknown name or size, BackendUnavailable when no speech recognition is
    configured at all.
    """
    installed = installed_models(catalog)
    wanted = (explicit(name) or "").strip().lower()
    if not wanted:
        routed = _routed(catalog, installed, language)
        return _translating(routed, installed, language) if translates else routed
    if (listed := _listed(catalog, name or "")) is not None:
        return listed
    if wanted == "whisper-1":
        return _of_family(installed, "whisper") or _routed(catalog, installed, language)
    for family in ("parakeet", "sensevoice"):
        if family in wanted and (found := _of_family(installed, family)):
            return found
    size = wanted.removeprefix("whisper-")
    if size in SIZES and (found := _of_size(installed, size)):
        return found
    raise ModelNotFound(
        f"unknown transcription model {name!r}",
        remedy=f"configured: {_names(installed)}; sizes: {', '.join(SIZES)}",
        param="model",
    )


def request_language(text: str | None, model: Model) -> str | None:
    """The code of the language asked for, None to detect it. InvalidRequest for one that is
    unknown or that the model does not declare.
    """
    text = explicit(text)
    if text is None:
        return None
    code = language_code(text)
    if code is None:
        raise InvalidRequest(
            f"unknown language {text[:50]!r}", remedy="use an ISO 639-1 code", param="language"
        )
    if model.languages and code not in model.languages:
        raise InvalidRequest(
            f"model {model.id!r} does not understand {code!r}",
            remedy=f"languages: {', '.join(model.languages)}",
            param="language",
        )
    return code


def check_translation(model: Model, catalog: Catalog, *, param: str) -> None:
    """UnsupportedCapability for a model that cannot translate to English."""
    if model.can_translate:
        return
    able = [f.id for f in installed_models(catalog) if f.model.can_translate]
    raise UnsupportedCapability(
        f"model {model.id!r} does not translate",
        remedy=f"models that do: {', '.join(map(repr, able)) or 'none is configured'}",
        param=param,
    )


def installed_models(catalog: Catalog) -> list[Asr]:
    """Every speech recognition model, in the order of the configuration."""
    return catalog.every("transcription")


def _routed(catalog: Catalog, installed: list[Asr], language: str | None) -> Asr:
    code = language_code(language or "")
    if catalog.config.defaults.of("transcription") is not None:
        default = catalog.find("transcription", None)
        if code is None or not default.model.languages or code in default.model.languages:
            return default
    if not installed:
        raise BackendUnavailable(
            "no speech recognition model is configured", remedy="add a family for it", param="model"
        )
    preferred: list[str] = []
    if code in SENSEVOICE_LANGUAGES:
        preferred.append("sensevoice")
    if code in PARAKEET_LANGUAGES:
        preferred.append("parakeet")
    for family in (*preferred, "whisper"):
        if found := _of_family(installed, family):
            return found
    return installed[0]


def _translating(routed: Asr, installed: list[Asr], language: str | None) -> Asr:
    """The first of the models that translate that language, the routed one before the others."""
    code = language_code(language or "")
    for found in (routed, *installed):
        languages = found.model.languages
        if found.model.can_translate and (code is None or not languages or code in languages):
            return found
    return routed


def _listed(catalog: Catalog, name: str) -> Asr | None:
    try:
        return catalog.find("transcription", name.strip())
    except ModelNotFound:
        return None


def _of_family(installed: list[Asr], family: str) -> Asr | None:
    """By engine for Whisper, by id for those that several engines run."""
    for found in installed:
        if family in found.family.options.engine or family in found.id.lower():
            return found
    return None


def _of_size(installed: list[Asr], size: str) -> Asr | None:
    """By the end of an id or alias: `Systran/faster-whisper-base` is `base`, and
    `Systran/faster-distil-whisper-large-v3` is `distil-large-v3`.
    """
    for found in installed:
        if size in map(_size_of, (found.id, *found.model.aliases)):
            return found
    return None


def _size_of(name: str) -> str:
    """`base` of `…/faster-whisper-base`; a name without `whisper-` may be a size itself."""
    before, mark, size = name.lower().rpartition("/")[2].rpartition("whisper-")
    return f"distil-{size}" if mark and before.endswith("distil-") else size


def _names(installed: list[Asr]) -> str:
    return ", ".join(repr(found.id) for found in installed) or "none"
