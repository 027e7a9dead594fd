"""The local default, started by its own command in an empty directory, on a machine that reaches no
model hub and no package index.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from serve_app.launch.environment import free_ports
from serve_app.launch.processes import descendants
from tests.weights import FETCHED, default_models, weights

ROOT = Path(__file__).parents[2]
START_LINES = 200
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "PIP_CONFIG_FILE": "/dev/null",
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_RETRIES": "0",
}


@dataclass(frozen=True)
class Server:
    """A running server: where it answers and what it printed until it was ready."""

    process: "subprocess.Popen[str]"
    url: str
    printed: str


def start(directory: Path) -> Server:
    """Start as `make serve` does; returns when the server says that it is ready."""
    (port,) = free_ports(1)
    command = (sys.executable, "-m", "serve_app", "--config", str(ROOT / "serve_config.local.yaml"))
    process = subprocess.Popen(
        (*command, "--port", str(port)),
        cwd=directory,
        env=environment(directory),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("  try"):
            return Server(process, f"http://127.0.0.1:{port}", "".join(lines))
    raise AssertionError(f"the server ended with {process.wait()}:\n{''.join(lines)}")


def environment(directory: Path) -> dict[str, str]:
    """This process's environment without what other tests or a caller told Ray, and offline."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "API_TOKENS", "ADMIN_TOKEN"))
    }
    return own | OFFLINE | {"HF_HOME": str(directory / "hub"), "PYTHONPATH": str(ROOT)}


def stop(server: Server) -> tuple[int, list[str]]:
    """SIGTERM; the exit status and which of its processes still run afterwards."""
    family = descendants(server.process.pid)
    assert family
    server.process.send_signal(signal.SIGTERM)
    server.process.communicate(timeout=120)
    left = [running for running in map(running_process, family) if running]
    return server.process.returncode, left


def running_process(pid: int) -> str:
    """What runs there. Nothing does where a process has ended and its new parent, init, has not
    looked yet.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        name = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
    return "" if state in "ZX" else f"{pid} {state} {name}"


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the folder; its end is a check as well. It has the models in packages as they
    are after `make models`.
    """
    for model_id in default_models():
        weights(model_id)
    directory = tmp_path_factory.mktemp("local")
    (directory / ".data").mkdir()
    (directory / ".data" / "models").symlink_to(FETCHED)
    running = start(directory)
    yield running
    status, left = stop(running)
    assert status == 0
    assert left == []


@pytest.fixture(scope="package")
def client(server: Server) -> Iterator[openai.OpenAI]:
    """The official client, with the key that nobody asks for."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=120) as client:
        yield client
