"""The ffmpeg that imageio-ffmpeg brings, as a child process that tells how far it is and is killed
when it is no longer wanted. Everything here blocks.

A command names no file of a caller: `folder` has links and files under names of our own, because
protocols, patterns and filter graphs are read into names.
"""

import errno
import logging
import os
import re
import selectors
import subprocess
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, cast

from deployments.audio.rubberband import Feeder, ffmpeg_path
from serve_app.core.containers import READING, reading_of
from serve_app.core.errors import Cancelled

logger = logging.getLogger(__name__)

LOOKED_S = 0.2
"""How often a silent child is looked at for whether it is still wanted."""
READ_BYTES = 1 << 16
COMPLAINTS = "complaints"
NO_ROOM = "No space left on device"
TOLD = re.compile(r"^(frame|out_time_us)=\s*(\d+)$", re.MULTILINE)
REPORT = re.compile(r"^progress=\w+\n", re.MULTILINE)
SAFE_READING = [piece for name, value in READING.items() for piece in (f"-{name}", value)]
"""Before an input that a caller has sent."""
OWN_TIMES = ("-fps_mode", "passthrough", "-enc_time_base", "filter")
"""Frames keep their times. Without the second option an encoder rounds them to a multiple of one
frame of the file's average rate.
"""
Stop = Callable[[], bool]


class Done(NamedTuple):
    """How much has been written."""

    frames: int = 0
    seconds: float = 0.0


class ChildFailed(Exception):
    """The child has ended with an error; `complaints` are its last words."""

    def __init__(self, complaints: str) -> None:
        super().__init__(complaints)
        self.complaints = complaints


def safe_reading(path: Path) -> list[str]:
    """The same before this file. What is found out of it here is found out by the child, too."""
    return [piece for name, value in reading_of(path).items() for piece in (f"-{name}", value)]


def written(
    arguments: Sequence[str], folder: Path, stop: Stop, *, feed: Iterator[bytes] | None = None
) -> Generator[Done]:
    """Run ffmpeg in a folder, with `feed` on its standard input. What it complains of stands in the
    folder's file `complaints` then.

    ChildFailed when it fails, Cancelled when told to stop, and what iterating `feed` raises.
    """
    command = [ffmpeg_path(), "-v", "warning", "-nostats", "-progress", "pipe:1", *arguments]
    with (folder / COMPLAINTS).open("wb") as complaints:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        feeder = None if feed is None else Feeder(feed, cast("IO[bytes]", child.stdin), stop)
        try:
            yield from _reports(cast("IO[bytes]", child.stdout), stop)
            child.wait()
        finally:
            child.kill()
            if feeder is not None:
                feeder.join()
            child.wait()
            cast("IO[bytes]", child.stdout).close()
    if feeder is not None:
        feeder.raise_error()
    _check(child.returncode, folder)


def _reports(pipe: IO[bytes], stop: Stop) -> Iterator[Done]:
    """What the child says twice a second, until it closes its output."""
    text = ""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if stop():
                raise Cancelled("the work was cancelled")
            if not selector.select(LOOKED_S):
                continue
            data = os.read(pipe.fileno(), READ_BYTES)
            if not data:
                return
            *reports, text = REPORT.split(text + data.decode("ascii", "replace"))
            if reports:
                told = dict(TOLD.findall(reports[-1]))
                yield Done(int(told.get("frame", 0)), int(told.get("out_time_us", 0)) / 1e6)


def _check(status: int, folder: Path) -> None:
    if status == 0:
        return
    complaints = (folder / COMPLAINTS).read_text(errors="replace")[-4000:]
    if NO_ROOM in complaints:
        raise OSError(errno.ENOSPC, NO_ROOM)
    logger.warning("ffmpeg ended with %s: %s", status, complaints)
    raise ChildFailed(complaints)
