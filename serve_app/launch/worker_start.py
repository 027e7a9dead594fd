"""What Ray starts as one of its workers: a small program that has the fork server make the worker,
and becomes the worker itself where none answers. It is run by its path and imports none of ours.
"""

import json
import os
import runpy
import socket
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

ADDRESS = "POLYPHONY_FORK_SERVER"
"""The variable that names the fork server's socket."""
NUMBER_BYTES = 4
OOM_SCORE = Path("/proc/self/oom_score_adj")
"""Ray sets that of workers so that the kernel ends them first."""


def main() -> None:
    """Ray waits for the worker to announce itself, whichever process it is."""
    program = _ray_worker()
    if not _is_forked(program):
        sys.argv[0] = program
        sys.path[0] = str(Path(program).parent)
        runpy.run_path(program, run_name="__main__")


def _is_forked(program: str) -> bool:
    address = os.environ.get(ADDRESS)
    if not address:
        return False
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            return bool(forked(connection, [program, *sys.argv[1:]], streams=(0, 1, 2)))
    except OSError:
        return False


def forked(connection: socket.socket, arguments: Sequence[str], *, streams: Sequence[int]) -> int:
    """Have the fork server start a process that runs a program, whose path comes before its
    arguments, in the environment of this process and with these standard streams. Its number; 0
    where it cannot be started. It keeps the connection open until it ends.
    """
    request = {
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "oom_score": OOM_SCORE.read_text(),
    }
    content = json.dumps(request).encode()
    socket.send_fds(connection, [len(content).to_bytes(NUMBER_BYTES)], streams)
    connection.sendall(content)
    return int.from_bytes(connection.recv(NUMBER_BYTES))


def _ray_worker() -> str:
    """Ray's own program of a worker, found without importing Ray."""
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "_private" / "workers" / "default_worker.py")


if __name__ == "__main__":
    main()
