"""Warnings as texts, for assertions."""

from collections.abc import Iterable

from serve_app.core.notices import Notice


def texts_of(notices: Iterable[Notice]) -> tuple[str, ...]:
    """Each after the core's name of the field that it is about."""
    return tuple(map(str, notices))
