"""The language in which something is to be said, as callers name it."""

from serve_app.core.choices import explicit
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.languages import language_code


def spoken_language(text: str | None, *, param: str = "language") -> str | None:
    """A code or a locale as it is, an English name as its code; Auto is None."""
    text = explicit(text)
    if text is None:
        return None
    code = language_code(text)
    if code is None:
        raise InvalidRequest(
            f"unknown language {text[:50]!r}", remedy="use an ISO code such as 'en'", param=param
        )
    folded = text.strip().lower().replace("_", "-")
    return folded if folded.partition("-")[0] == code else code
