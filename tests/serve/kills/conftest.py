"""A server in its own processes, with slow fakes that keep a diary, to be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from serve_app.launch.environment import free_ports
from serve_app.launch.processes import adopt_orphans, descendants, kill_descendants

ROOT = Path(__file__).parents[3]
DELAY_S = 1.0
NO_TOKENS: Mapping[str, str] = {}
SECRET = "the callback secret"
PIPELINES = ("video-dub", "video-subtitle", "story", "video-generation", "image-to-video")
RARE = frozenset({*PIPELINES[1:], "camera", "between", "large", "deep"})
"""Only the slow tests ask for these."""


def family(name: str, task: str, diary: Path, **placement: object) -> dict[str, Any]:
    """A slow fake."""
    options = {"engine": "fake", "task": task, "delay_s": DELAY_S, "diary": str(diary)}
    models = [] if task == "media" else [{"id": name}]
    return {"name": name, "options": options, "models": models, "placement": placement}


def slow_families(diary: Path) -> list[dict[str, Any]]:
    """One of every task that the pipelines need."""
    return [
        family("echo", "chat", diary),
        family("voice", "speech", diary),
        family("narrow", "speech", diary, max_ongoing_requests=2),
        family("ears", "transcription", diary),
        family("painter", "images", diary),
        family("camera", "video", diary),
        family("between", "interpolation", diary),
        family("large", "upscaling", diary),
        family("deep", "depth", diary),
        family("media", "media", diary),
    ]


class Server:
    """`python -m serve_app` in a directory, started, killed and started again."""

    def __init__(
        self,
        directory: Path,
        *,
        environment: Mapping[str, str] = NO_TOKENS,
        families: Sequence[Mapping[str, Any]] | None = None,
        pipelines: Sequence[str] = PIPELINES,
        asleep: Collection[str] = (),
        without: str | None = None,
        arguments: Sequence[str] = (),
        **sections: Mapping[str, object],
    ) -> None:
        """`sections` are added to those of the configuration; `without` names a shipped switch
        that is left out. Of families and pipelines that are `asleep` nothing starts before it is
        asked for.
        """
        self._directory = directory
        self._environment = environment
        self._families = families
        self._pipelines = pipelines
        self._asleep = asleep
        self._without = without
        self._arguments = arguments
        self._sections = sections
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self.data = directory / "data"
        self.diary = directory / "diary"
        self._others: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._write_config()

    def start(self) -> None:
        """Returns when the server says that it is ready."""
        own = {"PYTHONPATH": str(ROOT), "CALLBACK_SECRET": SECRET, **self._environment}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        self._others = descendants(os.getpid())
        log = self._directory / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "serve_app", "--config", "config.yaml", *self._arguments),
                cwd=self._directory,
                env=environment | own,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        while "\n  try" not in log.read_text():
            assert self._process.poll() is None, log.read_text()
            time.sleep(0.2)

    def said(self) -> str:
        """What it has written to its terminal."""
        return (self._directory / "log").read_text()

    def pids(self) -> list[int]:
        """Every process of it."""
        assert self._process is not None
        return [self._process.pid, *descendants(self._process.pid)]

    def kill(self) -> None:
        """SIGKILL to every process of it."""
        assert self._process is not None
        for pid in (self._process.pid, *descendants(self._process.pid)):
            _kill(pid)
        self._process.wait()
        kill_descendants(os.getpid(), spare=self._others)

    def kill_replicas(self, deployment: str, *, only: int | None = None) -> None:
        """SIGKILL to a deployment's replicas, or to the first `only` of them."""
        assert self._process is not None
        title = f"ray::ServeReplica:default:{deployment}".encode()
        pids = [pid for pid in descendants(self._process.pid) if _title(pid).startswith(title)]
        assert pids, deployment
        for pid in pids[:only]:
            _kill(pid)

    def noted(self, line: str) -> int:
        """How often the fakes have noted a line that begins so."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        return sum(noted.startswith(line) for noted in lines)

    def wait_for(self, line: str, times: int = 1) -> None:
        """Until the fakes have noted it."""
        deadline = time.monotonic() + 120
        while self.noted(line) < times:
            assert time.monotonic() < deadline, f"never noted: {line}"
            time.sleep(0.05)

    def _write_config(self) -> None:
        args: dict[str, Any] = {
            "auth": {"required": False},
            "storage": {"data_dir": str(self.data)},
            "jobs": {
                "placement": {"min_replicas": 2, "max_replicas": 2, "max_ongoing_requests": 100},
                "callback_pause_s": 0.1,
            },
            "limits": {"fetch_allow": ["127.0.0.1"]},
            "defaults": {"speech": "voice"},
            "families": self._families or slow_families(self.diary),
            "pipelines": [{"name": name} for name in self._pipelines],
        }
        for part in (*args["families"], *args["pipelines"]):
            if part["name"] in self._asleep:
                part["placement"] = {"min_replicas": 0}
        for name, section in self._sections.items():
            args[name] = {**args.get(name, {}), **section}
        application = {
            "name": "default",
            "import_path": "serve_app.build:build",
            "route_prefix": "/",
            "args": args,
        }
        config = {
            "http_options": {"host": "127.0.0.1", "port": self._port},
            "applications": [application],
        }
        (self._directory / "config.yaml").write_text(yaml.safe_dump(config))
        lines = (ROOT / "serve.env").read_text().splitlines(keepends=True)
        left = [line for line in lines if line.partition("=")[0] != self._without]
        (self._directory / "serve.env").write_text("".join(left))


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="package")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One for all tests of this folder; each leaves it running."""
    adopt_orphans()
    is_slow = any(item.get_closest_marker("slow") for item in request.session.items)
    running = Server(tmp_path_factory.mktemp("kills"), asleep=() if is_slow else RARE)
    running.start()
    yield running
    running.kill()


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it. The diary begins empty."""
    server.diary.unlink(missing_ok=True)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, trust_env=False) as client:
        yield client
