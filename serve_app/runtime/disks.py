"""Recognises a full disk behind whatever error an engine or a library made of it."""

import errno

from serve_app.core.errors import BackendUnavailable

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def full_disk(error: BaseException) -> BackendUnavailable | None:
    """The AppError for an error that a full disk has caused; None for any other."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL:
            return BackendUnavailable(
                "a disk of the server is full",
                remedy="free space on it or enlarge it, and try again",
            )
        cause = cause.__cause__ or cause.__context__
    return None
