"""The environment that Ray Serve must find before it is imported."""

import os
import random
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import ExitStack, suppress
from pathlib import Path

from serve_app.runtime.temporary_files import private_folder

DRAINING_S = 0.5
OWN_PORTS = range(20_000, 30_000)
LONGEST = 27
"""Characters of a folder in which HAProxy can make its sockets."""
HAPROXY_SCRIPT = """#!/bin/sh
exec '{python}' -m serve_app.launch.haproxy "$@"
"""


def load_environment(file: Path, environment: MutableMapping[str, str]) -> None:
    """Add the `NAME=value` lines of `serve.env` that are not set already."""
    for name, value in parse_environment(file.read_text()):
        environment.setdefault(name, value)


def parse_environment(text: str) -> Iterator[tuple[str, str]]:
    """Names and values; blank lines, comments and what only a shell can tell are skipped."""
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.lstrip().startswith("#") and not value.startswith("$("):
            yield name.strip(), value.strip()


def one_machine(run: Path) -> Mapping[str, str]:
    """What keeps two servers on one machine apart and HAProxy's side doors closed.

    `run` comes from `runtime_directory`. Replicas are not kept waiting on their way out for a load
    balancer of another machine to notice.
    """
    stats, metrics, fallback = free_ports(3)
    return {
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(_haproxy_script(run)),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{run}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{run}/admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{run}/metrics.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(run),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{run}/server-state",
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(DRAINING_S),
        "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": str(DRAINING_S),
    }


def runtime_directory(port: int) -> Path:
    """The directory for the sockets of the server on this port, closed to other users.

    It is not below the data directory, and in `/tmp` where `TMPDIR` is too long: HAProxy takes at
    most 97 characters for the path of a socket, of which Ray takes 70. Raises PermissionError when
    somebody else has made it.
    """
    name = f"polyphony-{os.getuid()}-{port}"
    folder = Path(tempfile.gettempdir()) / name
    return private_folder(folder if len(os.fsencode(folder)) <= LONGEST else Path("/tmp") / name)


def free_ports(count: int) -> list[int]:
    """TCP ports that nothing listens on now. They are none of those that Linux takes for outgoing
    connections by itself, which one could take before it is used here.
    """
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.sample(OWN_PORTS, len(OWN_PORTS)):
            listener = stack.enter_context(socket.socket())
            with suppress(OSError):
                listener.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} ports between {OWN_PORTS[0]} and {OWN_PORTS[-1]} are free")


def _haproxy_script(run: Path) -> Path:
    """Ray wants one executable file, so the wrapper is started by a script."""
    script = run / "haproxy"
    script.write_text(HAPROXY_SCRIPT.format(python=sys.executable))
    script.chmod(0o700)
    return script
