"""Errors about a field that is called otherwise where they are raised."""

from collections.abc import Iterator
from contextlib import contextmanager

from serve_app.core.errors import AppError


@contextmanager
def named(field: str, *, instead_of: str) -> Iterator[None]:
    """Within it, errors about `instead_of` name the field that the caller sent."""
    try:
        yield
    except AppError as error:
        if error.param == instead_of != field:
            error.message = error.message.replace(f"{instead_of}:", f"{field}:", 1)
            error.param = field
        raise
