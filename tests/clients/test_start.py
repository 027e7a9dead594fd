"""What the start prints is true."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from serve_app.api.dialects import DIALECTS
from serve_app.launch.environment import free_ports
from tests.clients.conftest import ROOT, Server, environment
from tests.weights import default_models


def test_the_printed_lines_work_as_printed(server: Server) -> None:
    assert f"base URL  {server.url}/v1\n" in server.printed
    docs = re.search(r"docs +(\S+)", server.printed)
    assert docs is not None
    assert httpx.get(docs[1], trust_env=False).status_code == 200
    line = re.search(r"try +(curl .+)", server.printed)
    assert line is not None
    answer = subprocess.run(
        line[1], shell=True, capture_output=True, text=True, check=True, timeout=90
    )
    assert '"object":"chat.completion"' in answer.stdout


def test_a_machine_that_is_offline_has_what_was_fetched_before(server: Server) -> None:
    """The lines of README's tour run on it too."""
    assert "\nready after " in server.printed
    assert "fetched at first use" not in server.printed
    here, _, far = server.printed.partition("with access to a model hub only:")
    for model_id in default_models():
        assert re.search(rf"[ ,]{re.escape(model_id)}[,\n]", here), model_id
        assert model_id not in far


def test_a_second_server_says_who_has_the_port(server: Server, tmp_path_factory: object) -> None:
    port = server.url.rpartition(":")[2]
    config = str(ROOT / "serve_config.local.yaml")
    second = subprocess.run(
        (sys.executable, "-m", "serve_app", "--config", config, "--port", port),
        capture_output=True,
        text=True,
        env=environment(ROOT),
        check=False,
        timeout=120,
    )
    assert second.returncode == 2
    assert second.stdout == ""
    assert second.stderr.count("\n") == 1
    assert f"port {port} is taken by 'haproxy' (pid " in second.stderr


def test_an_application_that_cannot_be_built_ends_the_start(tmp_path: Path) -> None:
    config = (ROOT / "serve_config.local.yaml").read_text()
    args = "  args:\n    jobs: {sync_timeout_s: {klingon: 3}}\n"
    (tmp_path / "config.yaml").write_text(config.replace("  args:\n", args))
    (port,) = free_ports(1)
    ended = subprocess.run(
        (sys.executable, "-m", "serve_app", "--config", "config.yaml", "--port", str(port)),
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 1
    known = ", ".join(dialect.name for dialect in DIALECTS)
    assert ended.stderr.splitlines()[-1] == (
        f"ValueError: jobs.sync_timeout_s: unknown dialect 'klingon'; dialects: {known}"
    )


def test_ctrl_c_during_the_start_is_said_and_no_more(tmp_path: Path) -> None:
    config, (port,) = str(ROOT / "serve_config.local.yaml"), free_ports(1)
    with subprocess.Popen(
        (sys.executable, "-m", "serve_app", "--config", config, "--port", str(port)),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"starting Polyphony on 127.0.0.1:{port}\n"
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert printed == "stopping (press Ctrl-C again to force)\n"


def test_only_this_machine_by_its_own_name(server: Server) -> None:
    answer = httpx.get(f"{server.url}/v1/models", headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "host_not_allowed"


def test_only_pages_of_its_own_change_something(server: Server) -> None:
    """Through Serve's proxy, which passes on what the browser has said."""
    port = server.url.rpartition(":")[2]
    with httpx.Client(base_url=server.url, trust_env=False, timeout=120) as browser:
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "http://localhost:1"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            answer = browser.post("/v1/files/upload", content=b"x", headers=headers)
            assert answer.status_code == 403
            assert answer.json()["error"]["code"] == "host_not_allowed"
        for own in (server.url, f"http://localhost:{port}"):
            headers = {
                "Origin": own,
                "Host": own.partition("//")[2],
                "Sec-Fetch-Site": "same-origin",
            }
            answer = browser.post(
                "/v1/completions", json={"prompt": "a", "max_tokens": 1}, headers=headers
            )
            assert answer.status_code == 200, answer.text
