"""Errors and warnings about the format of an answer, for which requests have several fields."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from serve_app.api.answers import Tell
from serve_app.api.call import Call
from serve_app.core.error_fields import root_of
from serve_app.core.errors import AppError
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation

FORMAT = "response_format"


@contextmanager
def format_errors(field: str | None) -> Iterator[None]:
    """Within it, errors about the format of the answer are about the field that asks for it."""
    try:
        yield
    except AppError as error:
        if field is None or root_of(error.param) != FORMAT:
            raise
        raise error.about(field) from error.__cause__


def format_telling(call: Call, operation: Operation[Any, Any], field: str | None) -> Tell:
    """How warnings of the operation are told; those about the format are about that field."""
    tell = call.telling(operation)
    if field is None:
        return tell

    def tell_own(notices: Iterable[Notice]) -> list[str]:
        return tell(
            each.about(field) if root_of(each.field) == FORMAT else each for each in notices
        )

    return tell_own
