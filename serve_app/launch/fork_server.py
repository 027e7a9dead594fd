"""A process that has imported what all processes of the server need, and of which they are copies:
a copy is there at once and shares the memory of what was imported.

It does nothing else, has no threads, and ends with the launcher.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from serve_app.launch.worker_start import NUMBER_BYTES, OOM_SCORE


def main() -> None:
    """The first argument is the number of the socket to listen at, the others name the modules to
    import. Forks for everybody who asks, until the launcher is gone.
    """
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        for name in sys.argv[2:]:
            import_module(name)
        if "ray" in sys.modules and _identity() == _identity():
            sys.exit("copies of the fork server would have the same identities: not used")
        gc.collect()
        # Copies that collect garbage do not look at what they share, which would copy it.
        gc.freeze()
        # The kernel takes copies away that have ended.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while (connection := _asking(listener)) is not None:
            if os.fork() == 0:
                break
            connection.close()
    if connection is not None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _run(connection)


def _identity() -> bytes:
    """What Ray would name a worker in a copy."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, sys.modules["ray"].WorkerID.from_random().binary())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        drawn = file.read()
    os.wait()
    return drawn


def _asking(listener: socket.socket) -> socket.socket | None:
    """Somebody who asks; None when the launcher, which holds the other end of the standard input,
    is gone.
    """
    ready, _, _ = select.select([listener, sys.stdin], [], [])
    return listener.accept()[0] if listener in ready else None


def _run(connection: socket.socket) -> None:
    """Be what was asked for."""
    head, streams, *_ = socket.recv_fds(connection, NUMBER_BYTES, 3)
    with connection.makefile("rb") as file:
        content = file.read(int.from_bytes(head))
    if not content:
        # Who asked has ended meanwhile.
        return
    _resemble(json.loads(content), streams)
    connection.sendall(os.getpid().to_bytes(NUMBER_BYTES))
    runpy.run_path(sys.argv[0], run_name="__main__")


def _resemble(request: dict[str, Any], streams: Sequence[int]) -> None:
    """Have all that the process that asks would have handed on. As Ray's workers are, it is in a
    group of its own: Ray ends the group with the worker.
    """
    os.setpgid(0, 0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    OOM_SCORE.write_text(request["oom_score"])
    sys.argv = request["arguments"]
    # Random numbers that are not those of all other copies; Python sees to its own.
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()


if __name__ == "__main__":
    main()
