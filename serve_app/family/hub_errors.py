"""Turns errors of the hub's library into BackendUnavailable with cause and remedy."""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serve_app.core.errors import BackendUnavailable

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError


@contextmanager
def explained(model_id: str, source: str, revision: str | None) -> Generator[None]:
    """What is raised in the block while a model's files are looked for, in words."""
    name = f"model {model_id!r}"
    try:
        from httpx2 import HTTPError
        from huggingface_hub.errors import EntryNotFoundError, HFValidationError
    except ImportError as error:
        raise BackendUnavailable(
            f"{name} comes from a hub, which needs {error.name!r}",
            remedy="install the local extra: pip install 'polyphony[local]'",
        ) from error
    try:
        yield
    except HFValidationError as error:
        raise BackendUnavailable(
            f"{name}: its source {source!r} is neither a directory nor a hub id",
            remedy="correct it",
        ) from error
    except (HTTPError, EntryNotFoundError, OSError, ValueError) as error:
        # The library wraps what a file's headers answered into its "not in the cache either".
        wrapped = isinstance(error, EntryNotFoundError) and isinstance(error.__cause__, Exception)
        cause = error.__cause__ if wrapped else error
        problem, remedy = _cause(cause, repr(source), revision)
        raise BackendUnavailable(f"{name} {problem}", remedy=remedy) from error


def _cause(
    error: BaseException | None, source: str, revision: str | None
) -> tuple[str, str | None]:
    """What is wrong, and what would work."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RevisionNotFoundError,
    )

    match error:
        case OfflineModeIsEnabled():
            return (
                f"({source}) is incomplete in the local cache and HF_HUB_OFFLINE is set",
                "unset it, or set source to a local directory",
            )
        case RevisionNotFoundError():
            return f"({source}) has no revision {revision!r} on the hub", "correct revision"
        case HfHubHTTPError():
            problem, remedy = _refusal(error)
            return f"({source}) {problem}", remedy
        case OSError(errno=errno.ENOSPC):
            return "does not fit on the disk", "free some space, or set HF_HOME to a larger disk"
        case PermissionError():
            return "cannot be stored in the hub cache", "set HF_HOME to a writable directory"
    return (
        f"({source}) cannot be downloaded: the hub is unreachable or the connection broke "
        f"({type(error).__name__})",
        "check the network, proxy and HF_ENDPOINT, or set source to a local directory",
    )


def _refusal(error: "HfHubHTTPError") -> tuple[str, str | None]:
    from huggingface_hub.errors import GatedRepoError

    if isinstance(error, GatedRepoError):
        return (
            "is gated: accept its licence on its page on the hub and set HF_TOKEN "
            "to a token of that account",
            None,
        )
    status = error.response.status_code
    if status == 403:
        return "is refused by the hub: set HF_TOKEN to a token that may read it", None
    if status in (401, 404):
        return (
            "is not on the hub, or is private: correct source, or set HF_TOKEN to "
            "a token that may read it",
            None,
        )
    why = f"cannot be downloaded: the hub answered with status {status}"
    return why, "try again later, or set source to a local directory"
