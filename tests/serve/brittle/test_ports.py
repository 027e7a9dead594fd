"""What a server that promises "this machine only" answers to another machine, on every port.

The other machine is a network namespace (Debian package iproute2), for which one has to be root.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.serve.kills.conftest import ROOT, Server

LISTEN = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}
ALL_INTERFACES = {"00000000", "0" * 32}
DRIVER = Path(sys.executable).name
"""The launcher's process has no title of its own."""
PROBE = Path(__file__).with_name("port_probe.py")
"""What is asked of a port, and what kinds of answer there are."""
pytestmark = pytest.mark.parametrize("server", [None], indirect=True, scope="package")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator["Elsewhere"]:
    """A namespace that reaches this machine over a cable of its own."""
    other = Elsewhere(f"elsewhere{os.getpid()}")
    try:
        other.connect()
    except (OSError, subprocess.CalledProcessError) as error:
        cause = getattr(error, "stderr", b"") or error
        pytest.skip(f"no network namespace can be made here (iproute2, root): {cause!r}")
    yield other
    other.remove()


class Elsewhere:
    """A second network stack with one address; ours is `address` from there."""

    def __init__(self, name: str) -> None:
        self._name = name
        third = os.getpid() % 250
        self.address = f"10.213.{third}.1"
        self._own = f"10.213.{third}.2"
        self._cable = (f"near{os.getpid()}", f"far{os.getpid()}")

    def connect(self) -> None:
        near, far = self._cable
        inside = ("netns", "exec", self._name, "ip")
        _ip("netns", "add", self._name)
        try:
            _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self._name)
            _ip("address", "add", f"{self.address}/30", "dev", near)
            _ip("link", "set", near, "up")
            _ip(*inside, "address", "add", f"{self._own}/30", "dev", far)
            _ip(*inside, "link", "set", far, "up")
            _ip(*inside, "route", "add", "default", "via", self.address)
        except subprocess.CalledProcessError:
            self.remove()
            raise

    def remove(self) -> None:
        _ip("netns", "delete", self._name)

    def ask(self, addresses: list[tuple[str, int]]) -> list[str]:
        """The kind of answer of every port, asked from there."""
        command = ("ip", "netns", "exec", self._name, sys.executable, str(PROBE))
        done = subprocess.run(
            command, input=json.dumps(addresses).encode(), capture_output=True, check=True
        )
        answers: list[str] = json.loads(done.stdout)
        return answers


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True, capture_output=True)


def test_no_port_does_anything_for_who_has_no_token(server: Server, elsewhere: Elsewhere) -> None:
    """As the table in docs/operations.md says: refused, asked for a token, or metrics to read."""
    ports = listening(server.pids())
    asked = [
        (elsewhere.address if host in LOOPBACK | ALL_INTERFACES else _dotted(host), port)
        for host, port in ports
    ]
    answers = dict(zip(ports, elsewhere.ask(asked), strict=True))
    # Ray ends workers that have nothing to do.
    still = listening(server.pids()).keys()
    found = {
        (title, place[0] in LOOPBACK, answers[place])
        for place, title in ports.items()
        if place in still
    }
    assert {answer for _, is_local, answer in found if is_local} == {"refused"}
    open_to_others = {(title, answer) for title, is_local, answer in found if not is_local}
    assert {answer for _, answer in open_to_others} == {"token", "metrics"}
    readable = {title for title, answer in open_to_others if answer == "metrics"}
    # Two of them have a fixed port, which another cluster on this machine may hold.
    assert {"ray::DashboardAgent"} <= readable
    assert readable <= {"ray::DashboardAgent", "dashboard.py", "monitor.py"}
    assert ("gcs_server", "token") in open_to_others
    assert ("raylet", "token") in open_to_others
    assert ("ray::ServeReplica:default:talk", "token") in open_to_others
    assert {title for title, is_local, _ in found if is_local} >= {"haproxy", "dashboard.py"}
    documented = (ROOT / "docs" / "operations.md").read_text()
    for title, is_local, answer in found:
        is_worker = title.startswith("ray::") and answer == "token"
        is_named = f"`{title.split(':default')[0]}`" in documented
        assert is_named or is_worker or title == DRIVER, (title, is_local, answer)


async def test_the_dashboard_is_where_the_start_says_and_takes_rays_token(server: Server) -> None:
    line = re.search(
        r"dashboard (http://127\.0\.0\.1:\d+) \(its token: (.+) get-auth-token\)", server.said()
    )
    assert line is not None
    url, command = line.groups()
    home = {"HOME": str(server.data.parent)}
    token = subprocess.run(
        (command, "get-auth-token"), env=os.environ | home, capture_output=True, check=True
    ).stdout.decode()
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=120) as client:
        assert (await client.get("/api/serve/applications/")).status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        answer = await client.get("/api/serve/applications/", headers=headers)
    assert "talk" in answer.json()["applications"]["default"]["deployments"]
    assert (server.data.parent / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600


def listening(pids: list[int]) -> Mapping[tuple[str, int], str]:
    """The title of the process that listens, by address in the kernel's hexadecimal and port."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == LISTEN:
                host, port = columns[1].split(":")
                sockets[f"socket:[{columns[9]}]"] = (host, int(port, 16))
    found = {}
    for pid in pids:
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError, KeyError):
                    found[sockets[os.readlink(descriptor)]] = _title(pid)
    return found


def _title(pid: int) -> str:
    """The name that a process gives itself, or that of its program or script."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    if words[0].startswith("ray::"):
        # What it is doing may follow: `ray::ServeController.listen_for_change()`.
        return words[0].partition("#")[0].partition(".")[0].strip()
    names = [Path(word).name for word in words]
    return next((name for name in names if name.endswith(".py")), names[0])


def _dotted(host: str) -> str:
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(host)))
