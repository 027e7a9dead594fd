"""Temporary files of processes that were killed."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from serve_app.runtime.temporary_files import private_folder

PROGRAM = """
import sys, tempfile
from serve_app.runtime.temporary_files import machine_folder, use_own_temporary_folder
shared = machine_folder()
own = use_own_temporary_folder()
assert use_own_temporary_folder() == own
assert machine_folder() == shared
folder = tempfile.mkdtemp(prefix="video-")
open(folder + "/video.mp4", "wb").close()
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
        assert (left / "video.mp4").exists(), "nobody can clean up after kill -9"
        stack.enter_context(running(tmp_path))
        assert not left.exists()
        assert not left.parent.exists()
        assert (used / "video.mp4").exists(), "that process lives"


def test_many_that_start_at_once_keep_their_own(tmp_path: Path) -> None:
    with ExitStack() as stack:
        folders = [stack.enter_context(running(tmp_path))[1] for _ in range(4)]
        assert len({folder.parent for folder in folders}) == 4
        assert all((folder / "video.mp4").exists() for folder in folders)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "film-1"
    other.mkdir()
    with running(tmp_path):
        assert other.exists()


def modes(temporary: Path) -> set[int]:
    """Who may look into the folders that all processes share, from the outermost one on."""
    shared = temporary / f"polyphony-{os.getuid()}"
    return {stat.S_IMODE(folder.stat().st_mode) for folder in (shared, shared / "work")}


def test_nobody_else_can_look_into_the_folders(tmp_path: Path) -> None:
    with running(tmp_path) as (_, folder):
        assert modes(tmp_path) == {0o700}
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_folders_that_were_open_are_closed(tmp_path: Path) -> None:
    (tmp_path / f"polyphony-{os.getuid()}" / "work").mkdir(parents=True)
    (tmp_path / f"polyphony-{os.getuid()}").chmod(0o777)
    with running(tmp_path):
        assert modes(tmp_path) == {0o700}


def test_the_folder_of_another_user_is_not_taken(tmp_path: Path) -> None:
    folder = tmp_path / "polyphony"
    folder.mkdir(mode=0o777)
    with pytest.raises(PermissionError, match="does not belong to this user"):
        private_folder(folder, uid=os.getuid() + 1)


def test_what_only_leads_to_a_folder_is_not_taken(tmp_path: Path) -> None:
    """A link that somebody has put there, into a folder of this user's."""
    (tmp_path / "own").mkdir(mode=0o755)
    (tmp_path / "own").chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path / "own")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    (tmp_path / "file").write_bytes(b"")
    for name in ("link", "nowhere", "file"):
        with pytest.raises(PermissionError, match="remove it, or set TMPDIR"):
            private_folder(tmp_path / name)
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o755
    assert not (tmp_path / "missing").exists()


def test_a_process_does_not_start_in_a_folder_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "trap").mkdir()
    (tmp_path / f"polyphony-{os.getuid()}").symlink_to(tmp_path / "trap")
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        check=False,
    )
    assert ended.returncode != 0
    assert "PermissionError" in ended.stderr
    assert list((tmp_path / "trap").iterdir()) == []
