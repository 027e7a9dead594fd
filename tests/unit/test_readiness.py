"""When the start says that the server is ready, and what it says when it is not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from serve_app.core.config import AppConfig
from serve_app.launch.config_file import LaunchPlan, read_plan
from serve_app.launch.readiness import first_model, wait_until_ready
from serve_app.launch.server import banner

ROOT = Path(__file__).parents[2]
CAUSE = "model 'tiny': package 'tiny==1' cannot be downloaded: no index; check the network"
CONFIG = """
http_options: {{host: 127.0.0.1, port: {port}}}
applications:
- import_path: serve_app.build:build
  args:
    auth: {{required: false}}
    families:
    - name: text
      options: {{engine: fake, task: chat}}
      models: [{{id: tiny}}]
      placement: {{min_replicas: 1}}
"""


class Listing(ThreadingHTTPServer):
    """A server with one model, which is further with every look; the last state stays."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.statuses: list[dict[str, Any]] = []

    def entry(self) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"id": "tiny", "loaded": status["state"] == "ready", "status": status}


class Answers(BaseHTTPRequestHandler):
    server: Listing

    def do_GET(self) -> None:
        content = {} if self.path == "/v1/health" else self.server.entry()
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def listing() -> Iterator[Listing]:
    server = Listing()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def plan(listing: Listing, tmp_path: Path) -> LaunchPlan:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(port=listing.server_port))
    return read_plan(file)


def downloading(percent: int) -> dict[str, Any]:
    return {"state": "downloading", "percent": percent, "bytes_total": 98_400_000}


def test_a_download_is_waited_for_and_told(listing: Listing, tmp_path: Path) -> None:
    percents = map(downloading, (0, 5, 45, 50, 80))
    listing.statuses = [*percents, {"state": "loading"}, {"state": "ready"}]
    said: list[str] = []
    assert wait_until_ready(plan(listing, tmp_path), said.append) is None
    assert said == [f"  fetching tiny: {percent} % of 98 MB" for percent in (0, 45, 80)]


def test_what_cannot_be_had_is_no_readiness(listing: Listing, tmp_path: Path) -> None:
    listing.statuses = [{"state": "loading"}, {"state": "failed", "cause": CAUSE}]
    known = plan(listing, tmp_path)
    problem = wait_until_ready(known, lambda _: None)
    assert problem == CAUSE
    printed = banner(known, 3.2, dashboard=None, problem=problem)
    assert printed.startswith(f"NOT READY after 3.2 s: tiny cannot answer.\n  {CAUSE}\n")
    assert "  base URL  http://127.0.0.1:" in printed
    assert banner(known, 3.2, dashboard=None).startswith("ready after 3.2 s\n  here:\n")


def test_a_model_for_chat_is_waited_for_before_others() -> None:
    def family(name: str, task: str, replicas: int) -> dict[str, Any]:
        return {
            "name": name,
            "options": {"engine": "fake", "task": task},
            "models": [{"id": name}],
            "placement": {"min_replicas": replicas},
        }

    families = [
        family("far", "chat", 0),
        family("ear", "transcription", 1),
        family("near", "chat", 1),
    ]
    assert first_model(AppConfig.model_validate({"families": families})) == "near"
    assert first_model(AppConfig.model_validate({"families": families[:2]})) == "ear"
    assert first_model(AppConfig.model_validate({"families": families[:1]})) is None


@pytest.mark.parametrize("name", ["serve_config.local.yaml", "serve_config.hub.yaml"])
def test_the_start_waits_for_chat(name: str) -> None:
    config = read_plan(ROOT / name).application.args
    first = first_model(config)
    chat = config.defaults.of("chat")
    models = [m for f in config.families if f.options.task == "chat" for m in f.models]
    assert any(m.id == first and chat in (m.id, *m.aliases) for m in models)
