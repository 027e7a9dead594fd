"""Masks secrets in what is logged or captured."""

import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

MASK = "***"
SECRET_NAME = re.compile(
    r"key|token|secret|passw|pwd|auth|credential|cookie|session|signature|^sig$|^code$|^jwt$|csrf",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"\b(sk|pk|ghp|gho|hf|xox[abp])[-_][\w-]{6}|(?<![\w-])(?=[\w-]*?\beyJ[\w-]{8})[\w-]++\."
    r"|^(bearer|basic)\s|://[^/\s@]*+@",
    re.IGNORECASE,
)
"""Well-known forms of tokens, a JWT, an Authorization header, and a URL with a password. A JWT is
looked for once in a run of its characters: from each of its beginnings to the end would take the
square of a header's length.
"""
HARMLESS_NAMES = frozenset({"max_tokens", "tokens"})
QUERY_CHARACTERS = 4096


def masked_query(query: bytes) -> str:
    """A query string whose credential-like values are `***`; names and order stay."""
    text = query.decode("latin-1")[:QUERY_CHARACTERS]
    return "&".join(map(_masked_pair, text.split("&"))) if text else ""


def masked_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Headers whose credential-like values are `***`."""
    return [
        (name, MASK if is_secret(name, value) else value)
        for name, value in ((n.decode("latin-1"), v.decode("latin-1")) for n, v in headers)
    ]


def is_secret(name: str, value: str) -> bool:
    """Whether a value must not be written down, by its name or by its look."""
    if name.lower() in HARMLESS_NAMES:
        return False
    return bool(SECRET_NAME.search(name) or SECRET_VALUE.search(value))


def _masked_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    # Encoded twice, a token would look like nothing.
    plain = unquote_plus(unquote_plus(value))
    if not equals:
        return MASK if SECRET_VALUE.search(unquote_plus(name)) else pair
    return f"{name}={MASK}" if value and is_secret(unquote_plus(name), plain) else pair
