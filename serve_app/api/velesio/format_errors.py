"""Errors about the format of an answer, which requests here ask for in several fields."""

from collections.abc import Iterator
from contextlib import contextmanager

from serve_app.core.errors import AppError


@contextmanager
def format_errors(field: str | None) -> Iterator[None]:
    """Within it, errors about the format of the answer are about the field that asks for it."""
    try:
        yield
    except AppError as error:
        if field is None or not (error.param or "").startswith("response_format"):
            raise
        raise error.about(field) from error.__cause__
