"""Renames the field that an error is about, where one operation runs another whose fields have
other names.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from serve_app.core.errors import AppError

ROOT = re.compile(r"[^.\[]+")
"""The field of a path such as `messages[2].content`."""
Fields = Mapping[str, str | None]
"""By field: its name for whoever asked, None where that is nothing they sent."""


def root_of(param: str | None) -> str | None:
    """The field that a path begins with."""
    found = ROOT.match(param or "")
    return found[0] if found else None


def renamed(param: str | None, fields: Fields) -> str | None:
    """The path below another field's name; unchanged where `fields` does not list it."""
    root = root_of(param)
    if param is None or root is None or root not in fields:
        return param
    name = fields[root]
    return name and name + param[len(root) :]


@contextmanager
def renamed_error_fields(fields: Fields) -> Iterator[None]:
    """Within it, errors about the listed fields are about those that they are called there."""
    try:
        yield
    except AppError as error:
        raise error.about(renamed(error.param, fields)) from error.__cause__
