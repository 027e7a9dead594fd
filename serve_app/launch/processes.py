"""The processes that a server is made of: found through /proc, ended when they stay behind."""

import ctypes
import os
import signal
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.05


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none gets lost."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, parents first; zombies are left out."""
    children: dict[int, list[int]] = {}
    for child, parent, state in _processes():
        if state != "Z":
            children.setdefault(parent, []).append(child)
    found, frontier = [], [pid]
    while frontier:
        frontier = [child for parent in frontier for child in children.get(parent, ())]
        found += frontier
    return found


def end_descendants(pid: int, *, patience_s: float) -> None:
    """SIGTERM to all of them, SIGKILL to those that are there after `patience_s`."""
    send(descendants(pid), signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while descendants(pid) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    kill_descendants(pid)


def kill_descendants(pid: int, *, spare: Collection[int] = ()) -> None:
    """SIGKILL until none is left but those spared; a killed parent's children appear as ours."""
    for _ in range(20):
        left = [child for child in descendants(pid) if child not in spare]
        if not left:
            return
        send(left, signal.SIGKILL)
        time.sleep(POLL_S)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to those that still live."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _processes() -> list[tuple[int, int, str]]:
    """Pid, parent and state letter of every process that can be seen."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError, IndexError):
                # The name may hold spaces and brackets; state and parent come after its end.
                stat = (directory / "stat").read_text().rpartition(")")[2].split()
                found.append((int(directory.name), int(stat[1]), stat[0]))
    return found
