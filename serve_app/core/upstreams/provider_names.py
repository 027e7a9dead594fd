"""How a provider is named: by its id in any spelling of a UUID, or by its name."""

import re
from uuid import UUID

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_NAME = 64
HYPHENATED = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
DIGITS = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
URN = "urn:uuid:"


def uuid_of(text: str) -> str | None:
    """The UUID in its usual spelling, None for what is none. With hyphens, as 32 digits, with
    `urn:uuid:` before it or in braces.
    """
    bare = text
    if text[: len(URN)].lower() == URN:
        bare = text[len(URN) :]
    elif text.startswith("{") and text.endswith("}"):
        bare = text[1:-1]
    is_digits = bare is text and DIGITS.fullmatch(text)
    return str(UUID(bare)) if is_digits or HYPHENATED.fullmatch(bare) else None


def is_name(text: str) -> bool:
    """Whether it is what a name looks like, of any length."""
    return NAME.fullmatch(text) is not None
