"""The measured servers as processes: started, awaited, watched, and stopped with all they began."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from load_generator import Load, Target, WrongAnswer, run

from serve_app.launch.environment import free_ports

HERE = Path(__file__).parent
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 25.0
UNREACHED = {"requests_per_minute": 10**9, "concurrent": 10**6}


class ServerProcess:
    """A running server and everything that it started."""

    def __init__(self, target: Target, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.target = target
        self.log = log
        self._popen = popen

    @property
    def is_running(self) -> bool:
        """Whether the process that was started has not ended."""
        return self._popen.poll() is None

    def tree(self) -> list[psutil.Process]:
        """The process and its descendants."""
        try:
            root = psutil.Process(self._popen.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu_s(self) -> float:
        """User and system seconds that the living tree has used so far."""
        total = 0.0
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory_mib(self) -> float:
        """Proportional set size of the tree, so that shared pages count once."""
        total = 0
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total / 1024**2

    def send(self, number: signal.Signals) -> None:
        """A signal to the whole tree."""
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    async def until_it_answers(self, probe: Load) -> None:
        """Wait for the first right answer; raises with the log's end when the process is gone."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                await run(probe, self.target)
                return
            except (OSError, WrongAnswer, TimeoutError) as error:
                if self._popen.poll() is not None or time.monotonic() > deadline:
                    end = self.log.read_text(errors="replace")[-3000:]
                    raise SystemExit(
                        f"{self.target.name} does not answer: {error}\n{end}"
                    ) from None
            await asyncio.sleep(0.5)

    def stop(self) -> None:
        """SIGTERM, and after a while SIGKILL for what is left."""
        tree = self.tree()
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(STOP_TIMEOUT_S)
        _, alive = psutil.wait_procs(tree, timeout=5)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@contextmanager
def server(
    name: str,
    command: Sequence[str],
    *,
    port: int,
    token: str,
    folder: Path,
    checkout: Path = HERE.parent,
    python: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Generator[ServerProcess]:
    """Start `command` of a checkout, with `python`, or the interpreter of the checkout's `.venv`,
    or else with this one; it is stopped when the block ends.

    Ray's variables of the caller are left out, so that each server sets its own switches.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"API_TOKENS": token, "RAY_USAGE_STATS_ENABLED": "0"}
    # Before the checkout that the interpreter was installed for.
    environment["PYTHONPATH"] = str(checkout)
    environment |= variables or {}
    python = python or checkout / ".venv/bin/python"
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        popen = subprocess.Popen(
            [str(python) if python.exists() else sys.executable, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=checkout,
            start_new_session=True,
        )
    process = ServerProcess(Target(name, port, token), popen, log)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def paused(servers: Iterable[ServerProcess]) -> Generator[None]:
    """Keep servers from running while the block does: idle ones take a quarter of a core each, with
    hundreds of wake-ups a second, and a single client's latency would be mostly that of waiting
    for a core.
    """
    waiting = list(servers)
    try:
        for process in waiting:
            process.send(signal.SIGSTOP)
        yield
    finally:
        for process in waiting:
            process.send(signal.SIGCONT)


@contextmanager
def working_folder() -> Generator[Path]:
    """A temporary directory for configuration, logs and data."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    return free_ports(1)[0]


def write_config(
    folder: Path,
    *,
    more_families: Sequence[dict[str, object]] = (),
    pipelines: Sequence[dict[str, object]] = (),
) -> Path:
    """Two families of the fake engine, one as fast as it can, one paced; access control on.

    JSON is YAML.
    """
    families = [
        {
            "name": name,
            "options": {"engine": "fake", "task": "chat", "tokens_per_s": tokens_per_s},
            "models": [{"id": name}],
            "placement": {"max_ongoing_requests": 100},
        }
        for name, tokens_per_s in (("fast", 0), ("paced", 50))
    ]
    args = {
        "auth": {"required": True},
        "storage": {"data_dir": str(folder / "data")},
        # Counted as always, never reached.
        "limits": {"rates": {"inference": {"default": UNREACHED}}},
        "families": [*families, *more_families],
        "pipelines": list(pipelines),
    }
    application = {
        "name": "polyphony",
        "route_prefix": "/",
        "import_path": "serve_app.build:build",
        "args": args,
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps({"applications": [application]}))
    return file
