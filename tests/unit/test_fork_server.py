"""Processes that are copies of one that has imported already."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from serve_app.launch import worker_start
from serve_app.launch.forked_workers import fork_server as start
from serve_app.launch.forked_workers import listening
from serve_app.launch.worker_start import ADDRESS, forked

REPORT = """
import json, os, random, sys
print(json.dumps({
    "arguments": sys.argv[1:],
    "name": __name__,
    "greeting": os.environ.get("GREETING"),
    "folder": os.getcwd(),
    "read": sys.stdin.read(),
    "parent": os.getppid(),
    "has_numpy": "numpy" in sys.modules,
    "random": [random.random(), __import__("numpy").random.random()],
}), flush=True)
"""


@pytest.fixture
def address(tmp_path: Path) -> Path:
    return tmp_path / "forks.sock"


@pytest.fixture
def fork_server(address: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with listening(address) as listener:
        program = start(listener, ["numpy.random"], raylet=os.getpid())
    with program:
        yield program
        program.kill()


def worker(folder: Path, **variables: str) -> Mapping[str, Any]:
    """What Ray's worker says of itself, started as Ray does; here it is a report."""
    workers = folder / "packages" / "ray" / "_private" / "workers"
    workers.mkdir(parents=True, exist_ok=True)
    (folder / "packages" / "ray" / "__init__.py").touch()
    (workers / "default_worker.py").write_text(REPORT)
    own = {"PYTHONPATH": str(folder / "packages"), "GREETING": "hello"}
    done = subprocess.run(
        (sys.executable, worker_start.__file__, "--node", "a b"),
        cwd=folder,
        env=os.environ | own | variables,
        input="words",
        capture_output=True,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    assert (said["arguments"], said["name"]) == (["--node", "a b"], "__main__")
    assert (said["greeting"], said["folder"], said["read"]) == ("hello", str(folder), "words")
    return said


def test_a_worker_is_a_copy_with_all_that_ray_has_given(
    fork_server: "subprocess.Popen[bytes]", address: Path, tmp_path: Path
) -> None:
    copies = [worker(tmp_path, **{ADDRESS: str(address)}) for _ in range(2)]
    assert [(copy["parent"], copy["has_numpy"]) for copy in copies] == [(fork_server.pid, True)] * 2
    numbers = [number for copy in copies for number in copy["random"]]
    assert len({*numbers}) == len(numbers)


def test_a_worker_is_itself_where_no_server_answers(address: Path, tmp_path: Path) -> None:
    for variables in ({}, {ADDRESS: str(address)}):
        assert not worker(tmp_path, **variables)["has_numpy"]
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(address))
    assert not worker(tmp_path, **{ADDRESS: str(address)})["has_numpy"]


def test_who_asks_sees_the_end(
    fork_server: "subprocess.Popen[bytes]", address: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys; sys.stdin.read()")
    read, write = os.pipe()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(address))
        number = forked(connection, [str(program)], streams=(read, 1, 2))
        os.close(read)
        assert Path(f"/proc/{number}").exists()
        os.close(write)
        assert connection.recv(1) == b""
    assert fork_server.poll() is None


def test_who_leaves_before_it_has_asked_disturbs_nobody(
    fork_server: "subprocess.Popen[bytes]", address: Path, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(address))
    assert worker(tmp_path, **{ADDRESS: str(address)})["parent"] == fork_server.pid


def test_it_ends_with_the_launcher(
    fork_server: "subprocess.Popen[bytes]",
) -> None:
    assert fork_server.stdin is not None
    fork_server.stdin.close()
    assert fork_server.wait(timeout=60) == 0
