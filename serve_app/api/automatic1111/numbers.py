"""Numbers and flags as clients of this dialect send them: a number may be a text."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from serve_app.api.wire_types import Integer

NUMERIC = re.compile(
    r"\s*[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})(e[+-]?\d{1,3})?\s*", re.IGNORECASE
)


def number(value: Any) -> Any:
    """The number that a text is; everything else as it is, but no flag is one."""
    if isinstance(value, bool):
        raise ValueError("input should be a number")
    if isinstance(value, str) and NUMERIC.fullmatch(value):
        return float(value)
    return value


def whole_number(value: Any) -> Any:
    """The same for integers, which may end in `.0`; of digits alone none is lost."""
    if isinstance(value, str) and NUMERIC.fullmatch(value) and value.strip().lstrip("+-").isdigit():
        return int(value)
    value = number(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def whole_or_flag(value: Any) -> Any:
    """A flag that this dialect writes as 0 or 1."""
    return int(value) if isinstance(value, bool) else whole_number(value)


Whole = Annotated[Integer, BeforeValidator(whole_number)]
WholeOrFlag = Annotated[Integer, BeforeValidator(whole_or_flag)]
Real = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(number)]
Switch = Annotated[bool, Field(strict=False)]
