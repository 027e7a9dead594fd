"""Fields that the administration's bodies and paths share."""

from typing import Annotated, Any

from fastapi import Depends
from pydantic import AfterValidator, StringConstraints

from serve_app.access.passwords import LONGEST
from serve_app.api.wire_object import WireObject
from serve_app.core.errors import NotFound

MOST_DIGITS = 18
SIGN_IN = "/login"
CHANGE_PASSWORD = "/admin/change-password"


class AdminBody(WireObject):
    """A JSON body; unknown fields are ignored."""


def _no_control_characters(text: str) -> str:
    if not all(character.isprintable() for character in text):
        raise ValueError("control characters and lone surrogates are not allowed")
    return text


Label = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=100),
    AfterValidator(_no_control_characters),
]
Username = Annotated[str, StringConstraints(strict=True, max_length=64)]
Secret = Annotated[str, StringConstraints(strict=True, max_length=LONGEST)]


async def get_row_id(id: str) -> int:
    """The `id` of the path. What cannot be one is unknown: NotFound."""
    if not (id.isascii() and id.isdecimal() and len(id) <= MOST_DIGITS):
        raise NotFound(f"no such id: {id[:100]!r}")
    return int(id)


RowId = Annotated[int, Depends(get_row_id)]
SUCCESS: dict[str, Any] = {"success": True}
