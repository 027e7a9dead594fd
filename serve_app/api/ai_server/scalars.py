"""Types of fields that come as JSON or as text, in every spelling that the typed clients send."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from serve_app.api.ai_server.service_error import ServiceError
from serve_app.api.wire_types import FALSE, TRUE, Text
from serve_app.core.bounds import INT64

T = TypeVar("T")
WHOLE = re.compile(r"[+-]?[0-9]{1,19}(?:\.0{1,9})?")
LONGEST_LIST = 1000
FORMAT = "FormatException"
"""The code of values that cannot be read; other custom codes are those of rules."""


def folded(name: str) -> str:
    """A name as it is compared: without case and underscores."""
    return name.replace("_", "").lower()


def unreadable(value: Any, what: str) -> PydanticCustomError:
    """The error for a value that is no such thing."""
    shown = str(value)[:50]
    return PydanticCustomError(
        FORMAT, "{value} is not {what}", {"value": repr(shown), "what": what}
    )


def single(value: Any) -> Any:
    """Of a parameter that was sent several times the last one."""
    return value[-1] if isinstance(value, list) and value else value


def _text(value: Any) -> Any:
    value = single(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _whole(value: Any) -> Any:
    value = single(value)
    if isinstance(value, str) and WHOLE.fullmatch(value.strip()):
        value = int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= INT64:
        raise unreadable(value, "a whole number")
    return value


def _decimal(value: Any) -> Any:
    value = single(value)
    number = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
    if not math.isfinite(number):
        raise unreadable(value, "a number")
    return number


def _flag(value: Any) -> Any:
    value = single(value)
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in TRUE | FALSE:
        return value.strip().lower() in TRUE
    raise unreadable(value, "true or false")


def _texts(value: Any) -> Any:
    """`[a,b]`, `a,b`, `["a","b"]`, and one that was sent several times."""
    if isinstance(value, str):
        return listed(value)
    if not isinstance(value, list):
        raise unreadable(value, "a list")
    return value


def listed(text: str) -> list[Any]:
    """The items of a list that is written as JSON, or without quotation marks."""
    text = text.strip()
    if text.startswith("["):
        try:
            found = json.loads(text)
            return found if isinstance(found, list) else [found]
        except (ValueError, RecursionError):
            text = text.removeprefix("[").removesuffix("]")
    items = (item.strip() for item in text.split(",", LONGEST_LIST))
    return [item.strip('"') for item in items if item]


def _map(value: Any) -> Any:
    """`{k:v,…}`, or JSON."""
    value = single(value)
    if isinstance(value, str):
        text = value.strip()
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            pairs = listed(text.removeprefix("{").removesuffix("}"))
            split = (str(pair).partition(":") for pair in pairs)
            value = {key.strip().strip('"'): item.strip().strip('"') for key, _, item in split}
    if not isinstance(value, Mapping):
        raise unreadable(value, "a map")
    return {key: _text(item) for key, item in value.items()}


Words = Annotated[Text, BeforeValidator(_text)]
Whole = Annotated[int, BeforeValidator(_whole)]
Decimal = Annotated[float, BeforeValidator(_decimal)]
YesNo = Annotated[bool, BeforeValidator(_flag)]
WordList = Annotated[list[Text], BeforeValidator(_texts)]
WordMap = Annotated[dict[str, Text], BeforeValidator(_map)]


def between(low: float, high: float) -> AfterValidator:
    """The rule `InclusiveBetween`."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise PydanticCustomError(
                "InclusiveBetween",
                "must be between {low} and {high}. You entered {value}.",
                {"low": low, "high": high, "value": value},
            )
        return value

    return AfterValidator(check)


def above(low: float) -> AfterValidator:
    """The rule `GreaterThan`."""

    def check(value: float) -> float:
        if value <= low:
            raise PydanticCustomError("GreaterThan", "must be greater than '{low}'.", {"low": low})
        return value

    return AfterValidator(check)


def _not_empty(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("NotEmpty", "must not be empty.")
    return text


NOT_EMPTY = AfterValidator(_not_empty)


def member(name: str) -> str:
    """The name of a member of an enumeration as it is compared: without the type before it."""
    return name.strip().rpartition(".")[2].replace("_", "").replace("-", "").lower()


def one_of(members: Mapping[str, T], *, otherwise: str | None = None) -> Callable[[Any], T]:
    """Reads a member of an enumeration, by any spelling. `otherwise` is the message for what is
    none.
    """
    known = {member(name): value for name, value in members.items()}

    def read(value: Any) -> T:
        value = single(value)
        if isinstance(value, str) and member(value) in known:
            return known[member(value)]
        if otherwise is not None:
            raise ServiceError(otherwise)
        raise unreadable(value, f"one of {', '.join(members)}")

    return read
