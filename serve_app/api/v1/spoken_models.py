"""Which models hear and translate a film, and in which languages."""

from serve_app.core.errors import InvalidRequest
from serve_app.core.languages import language_code
from serve_app.models import Models
from serve_app.transcription_routing import select


def heard_and_translated(models: Models, name: str | None, language: str | None) -> tuple[str, str]:
    """The ids of the transcription and the text model; `name` is either of them, the other one is
    the default.
    """
    is_chat = name is not None and name.lower() not in ("", "auto") and _is_chat(models, name)
    transcription = select(models, None if is_chat else name, language).id
    return transcription, models.chat(name if is_chat else None).id


def known_language(text: str, param: str) -> str:
    """The code of a language. InvalidRequest for one that is unknown."""
    code = language_code(text)
    if code is None:
        raise InvalidRequest(
            f"{param}: unknown language {text[:50]!r}; use an ISO code such as 'de'", param=param
        )
    return code


def _is_chat(models: Models, name: str) -> bool:
    """Names that only transcription routing knows, like Whisper sizes, are no chat models."""
    return any(
        name.lower() in map(str.lower, (f.id, *f.model.aliases))
        for f in models.all()
        if f.family.options.task == "chat"
    )
