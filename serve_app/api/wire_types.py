"""Types of the values that clients send, for the bodies of every dialect."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from serve_app.blobs.spooled_text import STAND_IN, restored
from serve_app.core.bounds import INT64, MEDIA_CHARACTERS

DEEPEST = 100
"""Levels of an object that is handed on: beyond twice as many it could not be stored with a job."""


def _is_unicode(text: str) -> str:
    """JSON can spell lone surrogates, which UTF-8 and tokenizers cannot carry."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(
                "the text contains a lone surrogate, which is not a character"
            ) from None
    return text


def _is_plain_json(value: dict[str, Any]) -> dict[str, Any]:
    if _is_deeper(value, DEEPEST):
        raise ValueError(f"the object is nested more than {DEEPEST} levels deep")
    text = _is_unicode(json.dumps(value, ensure_ascii=False))
    if STAND_IN in text:
        raise ValueError("the object contains a text of more than a megabyte")
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _is_deeper(each, levels - 1) for each in inner)


MediaText = Annotated[str, StringConstraints(strict=True), AfterValidator(_is_unicode)]
"""A medium in any form, which `MediaIntake` takes; a long one may have been put aside."""
Media = Annotated[MediaText, Field(min_length=1, max_length=MEDIA_CHARACTERS)]
"""One that is there and no longer than any may be."""
Text = Annotated[
    str, StringConstraints(strict=True), AfterValidator(restored), AfterValidator(_is_unicode)
]
JsonObject = Annotated[dict[str, Any], AfterValidator(_is_plain_json)]
Flag = Annotated[bool, Field(strict=True)]
TRUE, FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off", ""})
"""What stands for a flag in a form, which has text only."""
Integer = Annotated[int, Field(strict=True, ge=-INT64, lt=INT64)]
Track = Annotated[Integer, Field(ge=0)] | Annotated[Text, Field(min_length=1, max_length=35)]
"""An audio track of a file, as AudioTrack."""
Number = Annotated[float, Field(allow_inf_nan=False)]
ModelName = Annotated[Text, Field(max_length=500)]
TokenId = Annotated[Integer, Field(ge=0)]
