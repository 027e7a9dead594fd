"""A folder for the temporary files of each process of the server, so that what a killed one has
left is told from what is in use.

A process holds a lock in its folder for as long as it lives; the system ends the lock with it.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"
WORK = "work"


def machine_folder() -> Path:
    """What all servers of this user on this machine share, wherever the temporary files of this
    process go.
    """
    current = Path(tempfile.gettempdir())
    name = f"polyphony-{os.getuid()}"
    return current.parents[1] if current.parts[-3:-1] == (name, WORK) else current / name


def private_folder(path: Path, *, uid: int | None = None) -> Path:
    """A folder that only the user `uid`, by default that of this process, can look into; it is made
    where it is missing and closed where it was open. Its parent may be one that everybody can write
    to. Raises PermissionError for what is no folder of that user: somebody else has put it there.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    # Of a link: the link itself, which anybody may have made.
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != (os.getuid() if uid is None else uid):
        raise PermissionError(
            f"{path} does not belong to this user; remove it, or set TMPDIR to a folder of your own"
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        path.chmod(0o700)
    return path


def use_own_temporary_folder() -> Path:
    """Send the temporary files of this process to a folder of its own, and remove the folders of
    processes that have died. Blocks. Doing it again changes nothing.
    """
    current, root = Path(tempfile.gettempdir()), machine_folder() / WORK
    if current.parent == root:
        return current
    private_folder(private_folder(machine_folder()) / WORK)
    # Between the making of a folder and its lock nobody may take it for a dead one's.
    with _locked(root):
        for folder in root.iterdir():
            if folder.is_dir() and not _is_used(folder):
                shutil.rmtree(folder, ignore_errors=True)
        own = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
        # Open until the process ends.
        fcntl.flock(_opened(own), fcntl.LOCK_EX)
    tempfile.tempdir = str(own)
    return own


def _is_used(folder: Path) -> bool:
    handle = _opened(folder)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    handle = _opened(folder)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _opened(folder: Path) -> int:
    return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
