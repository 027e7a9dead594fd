"""A wheel of this checkout, installed where no checkout is, starts a server that answers."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from serve_app.launch.environment import free_ports

ROOT = Path(__file__).parents[2]
TOP = ("serve_app", "deployments", "pipelines", "pyproject.toml", "README.md", "LICENSE")
CONFIG = """
applications:
- import_path: serve_app.build:build
  args:
    auth: {required: false}
    families: [{name: text, options: {engine: fake, task: chat}, models: [{id: echo}]}]
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The folder that everything of the wheel is in."""
    source, target = tmp_path / "source", tmp_path / "installed"
    source.mkdir()
    for name in (*TOP, *(file.name for file in ROOT.glob("serve*.*"))):
        kind = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        kind(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(target / "bin/python")]
    done = subprocess.run(
        [*pip, "install", "--no-deps", "."], cwd=source, capture_output=True, text=True, check=False
    )
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("setuptools, which builds the wheel, cannot be fetched: no package index")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(source)
    # What it needs is taken from this environment, except for its own code.
    (packages,) = target.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return target


@pytest.mark.slow
def test_the_installed_command(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment.pop("PYTHONPATH", None)
    polyphony, python = installed / "bin/polyphony", installed / "bin/python"

    checked = _said([polyphony, "check"], folder, environment)
    assert "always there:" in checked
    where = "import serve_app; from serve_app.launch.shipped import shipped_file as f; "
    told = _said(
        [python, "-c", f"{where}print(serve_app.__file__, f('serve.env'))"], folder, environment
    )
    code, switches = map(Path, told.split())
    assert installed in code.parents
    assert switches == installed / "share/polyphony/serve.env"

    (folder / "own.yaml").write_text(CONFIG)
    (port,) = free_ports(1)
    command = [polyphony, "serve", "own.yaml", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line.decode())
            if line.startswith(b"  try"):
                break
        assert re.search("ready after", "".join(printed)), "".join(printed)
        asked = {"model": "echo", "messages": [{"role": "user", "content": "from afar"}]}
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=asked, timeout=60)
        assert answer.json()["choices"][0]["message"]["content"] == "from afar"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def _said(command: list[str | Path], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
