"""What goes wrong with packages, as BackendUnavailable with cause and remedy."""

import errno
import logging
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from serve_app.core.errors import BackendUnavailable
from serve_app.family.packages.finished_files import NotConverted, WrongHash
from serve_app.family.packages.pip_download import DiskFull, NotDownloaded
from serve_app.family.packages.wheel_members import UnfitPackage

logger = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)


class _Named(Exception):
    """What was at work when its cause was raised."""

    def __init__(self, name: str, cause: Exception) -> None:
        super().__init__(name)
        self.name, self.cause = name, cause


@contextmanager
def naming(name: str) -> Generator[None]:
    """What is raised in the block says what it is about."""
    try:
        yield
    except (NotDownloaded, UnfitPackage, WrongHash, NotConverted) as error:
        raise _Named(name, error) from error


@contextmanager
def explained(model_id: str, staging: Path) -> Generator[None]:
    """What is raised in the block while a model is fetched, in words. What cannot be right is
    removed with `staging`; after a broken connection what came stays.
    """
    name = f"model {model_id!r}"
    try:
        yield
    except _Named as error:
        if not isinstance(error.cause, NotDownloaded):
            shutil.rmtree(staging, ignore_errors=True)
        problem, remedy = _cause(error.cause)
        raise BackendUnavailable(f"{name}: {error.name} {problem}", remedy=remedy) from error.cause
    except DiskFull as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise _does_not_fit(name) from error
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        if error.errno in FULL:
            raise _does_not_fit(name) from error
        logger.warning("model %r cannot be stored: %s", model_id, error)
        raise BackendUnavailable(
            f"{name} cannot be stored ({type(error).__name__})",
            remedy="make the folder 'models' of storage.data_dir writable",
        ) from error


def _cause(error: Exception) -> tuple[str, str]:
    match error:
        case NotDownloaded():
            return str(error), error.remedy
        case WrongHash():
            return (
                f"is not the one of the configuration: {error}. Nothing of it was kept",
                "name another source; or, if the file is known to be right, correct sha256",
            )
        case NotConverted():
            return f"cannot be converted: {error}", "name another source"
    return str(error), "correct the source, or name another one"


def _does_not_fit(name: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"{name} does not fit on the disk",
        remedy="free some space, or set storage.data_dir to a larger disk",
    )
