"""Which processes are alive. A process id is used again; with its start it is unique."""

from pathlib import Path

STARTED_FIELD = 19
"""Of what follows the name in `/proc/<pid>/stat`: ticks since the machine started."""


def started_at(pid: int) -> str:
    """When a process began, in the system's own count; empty where it does not exist."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[STARTED_FIELD]


def is_running(pid: int, started: str) -> bool:
    """Whether the process with this id is still the one that began then."""
    return started_at(pid) == started != ""
