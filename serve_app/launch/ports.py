"""Whether a port is free, and who has it when it is not. Linux: reads /proc."""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LISTEN = "0A"


@dataclass(frozen=True)
class PortHolder:
    """A process that listens on a port."""

    pid: int
    name: str
    is_orphan: bool


def port_problem(host: str, port: int) -> str | None:
    """One line on why the server cannot listen there and what to do, or None when it can."""
    reason = _bind_error(host, port)
    if reason is None:
        return None
    holder = holder_of(port)
    if holder is None:
        return f"cannot listen on {host}:{port} ({reason}); choose another port: {_other(port)}"
    if holder.name == "haproxy" and holder.is_orphan:
        return (
            f"port {port} is held by an HAProxy (pid {holder.pid}) that a killed server left "
            f"behind; end it with: kill {holder.pid}"
        )
    return (
        f"port {port} is taken by {holder.name!r} (pid {holder.pid}); stop it, or choose another "
        f"port: {_other(port)}"
    )


def holder_of(port: int) -> PortHolder | None:
    """The process that listens on a TCP port, where it may be seen."""
    inodes = _listening_inodes(port)
    for directory in Path("/proc").iterdir() if inodes else ():
        if directory.name.isdigit() and _has_socket(directory, inodes):
            pid = int(directory.name)
            return PortHolder(pid, _name(pid), is_orphan=not _is_rays(_parent(pid)))
    return None


def _other(port: int) -> str:
    return f"make serve PORT={port + 1 if port < 65535 else port - 1}"


def _bind_error(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # A closed connection of the last run may linger; a listener is still noticed.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return None


def _listening_inodes(port: int) -> set[str]:
    """Columns: number, local address:port in hex, remote, state, …, inode as the tenth."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{columns[9]}]")
    return inodes


def _has_socket(process: Path, inodes: set[str]) -> bool:
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) in inodes:
                    return True
    return False


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return "a process"


def _parent(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        # The name before may hold spaces and brackets; the parent is the second field after it.
        stat = Path(f"/proc/{pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])
    return 0


def _is_rays(pid: int) -> bool:
    """Whether a process is one of Ray's, which name themselves `ray::…`."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::")
    return False
