"""Has processes of the server forked off one process, the fork server, where that is possible: on
the machine of the launcher.
"""

import atexit
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ray._private import services
from ray._private.parameter import RayParams

from serve_app.launch import worker_start
from serve_app.launch.config_file import LaunchPlan
from serve_app.launch.worker_start import ADDRESS, forked

FORK_SERVER = "serve_app.launch.fork_server"
NAME = "forks.sock"
IMPORTED = ("serve_app.launch.shared_imports",)
DEPLOY = "serve_app.deploy"
DEPLOYED = b"deployed"
ANY_JOB = "ffffffff"
WAITING = 128
"""How many may ask while the fork server imports."""


def fork_workers(run: Path) -> None:
    """Have the workers of each Ray that this process starts from now on forked off a fork server,
    which ends with the process. `run` comes from `runtime_directory`.
    """
    address = run / NAME
    os.environ[ADDRESS] = str(address)
    start: Any = services.start_raylet
    complete: Any = RayParams.update_if_absent

    def start_raylet(*arguments: Any, **named: Any) -> Any:
        with listening(address) as listener:
            raylet = start(*arguments, **named)
            program = fork_server(listener, IMPORTED, raylet=raylet.process.pid)
        atexit.register(_end, program)
        return raylet

    def update_if_absent(parameters: RayParams, **values: Any) -> None:
        if "worker_path" in values:
            values["worker_path"] = worker_start.__file__
        complete(parameters, **values)

    # `ray.init` has no arguments for either.
    for owner, replaced in ((services, start_raylet), (RayParams, update_if_absent)):
        setattr(owner, replaced.__name__, replaced)


def _end(program: "subprocess.Popen[bytes]") -> None:
    with program:
        program.kill()


@contextmanager
def listening(address: Path) -> Iterator[socket.socket]:
    """A socket that can be asked before the fork server is there."""
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(WAITING)
        yield listener


def fork_server(
    listener: socket.socket, imported: Sequence[str], *, raylet: int
) -> "subprocess.Popen[bytes]":
    """Start it. It answers when it has imported, and ends when nothing refers to what is returned.
    `raylet` is the process with which its copies end.
    """
    return subprocess.Popen(
        (sys.executable, "-m", FORK_SERVER, str(listener.fileno()), *imported),
        stdin=subprocess.PIPE,
        pass_fds=(listener.fileno(),),
        # Ray's library reads them when it is imported; no job means any.
        env=os.environ | {"RAY_RAYLET_PID": str(raylet), "RAY_JOB_ID": ANY_JOB},
        # In a group of its own, which Ctrl-C does not reach.
        process_group=0,
    )


def is_deployed(plan: LaunchPlan, cluster: str) -> bool:
    """Have a process of its own deploy the application on the cluster at this address. False when
    that failed, of which it has told the user.
    """
    own, given = socket.socketpair()
    with own, given, _deploying(given):
        given.close()
        try:
            own.sendall(pickle.dumps((plan, cluster)))
            own.shutdown(socket.SHUT_WR)
            return own.recv(len(DEPLOYED)) == DEPLOYED
        except OSError:
            # It has ended.
            return False


@contextmanager
def _deploying(given: socket.socket) -> Iterator[None]:
    """The program that deploys, which has ended after the block. When the block fails, it is
    killed.
    """
    spec = find_spec(DEPLOY)
    assert spec is not None
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(os.environ[ADDRESS])
            number = forked(connection, [str(spec.origin)], streams=(given.fileno(), 1, 2))
        except OSError:
            number = 0
        if not number:
            command = (sys.executable, "-m", DEPLOY)
            with subprocess.Popen(command, stdin=given.fileno(), process_group=0):
                yield
            return
        try:
            yield
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
            raise
        connection.recv(1)
