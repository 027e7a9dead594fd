"""What callers write, in a form that every database keeps: Postgres knows no NUL, and no UTF-8
text holds half a surrogate pair.
"""

import math
from typing import Any

DEPTH = 20


def storable(text: str) -> str:
    """The text with such characters replaced by U+FFFD."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def is_storable(text: str) -> bool:
    """Whether nothing has to be replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def storable_json(value: Any, *, depth: int = DEPTH) -> Any:
    """The same for every string of a JSON value; numbers that JSON has not become null, and what
    is nested deeper than `depth` its text.
    """
    if isinstance(value, str):
        return storable(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth > 0 and isinstance(value, dict):
        return {
            storable(str(key)): storable_json(item, depth=depth - 1) for key, item in value.items()
        }
    if depth > 0 and isinstance(value, list | tuple):
        return [storable_json(item, depth=depth - 1) for item in value]
    return storable(str(value))
