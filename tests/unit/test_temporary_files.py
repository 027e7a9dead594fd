"""Temporary files of processes that were killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAM = """
import sys, tempfile
from serve_app.temporary_files import machine_folder, use_own_temporary_folder
shared = machine_folder()
own = use_own_temporary_folder()
assert use_own_temporary_folder() == own
assert machine_folder() == shared
folder = tempfile.mkdtemp(prefix="film-")
open(folder + "/film.mp4", "wb").close()
print(folder, flush=True)
sys.stdin.read()
"""


@contextmanager
def running(temporary: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A process of the server, and a folder that it has made."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_what_a_killed_process_left_goes_with_the_start_of_the_next(tmp_path: Path) -> None:
    with ExitStack() as stack:
        _, used = stack.enter_context(running(tmp_path))
        with running(tmp_path) as (killed, left):
            killed.kill()
        assert (left / "film.mp4").exists(), "nobody can clean up after kill -9"
        stack.enter_context(running(tmp_path))
        assert not left.exists()
        assert not left.parent.exists()
        assert (used / "film.mp4").exists(), "that process lives"


def test_many_that_start_at_once_keep_their_own(tmp_path: Path) -> None:
    with ExitStack() as stack:
        folders = [stack.enter_context(running(tmp_path))[1] for _ in range(4)]
        assert len({folder.parent for folder in folders}) == 4
        assert all((folder / "film.mp4").exists() for folder in folders)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "film-1"
    other.mkdir()
    with running(tmp_path):
        assert other.exists()
