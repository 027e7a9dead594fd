"""docs/adding_a_dialect.md: its code is that of docs/examples, and its row is all that is added."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/adding_a_dialect.md").read_text()
EXAMPLE = ROOT / "docs/examples/dialect"
FILES = sorted(path.name for path in EXAMPLE.iterdir() if path.is_file())
QUOTED = ("dialect.py", "images.py", "wiring.diff")
COPIED = ("serve_app", "deployments", "pipelines", "serve.env", "pyproject.toml")
CONTRACTS = ("tests/__init__.py", "tests/import_contracts.py")
IMPORT = "from serve_app.api.lite.dialect import LITE"
ASKED = "from serve_app.api.dialects import DIALECTS; print([each.name for each in DIALECTS])"


@pytest.mark.parametrize("name", FILES)
def test_the_page_names_every_file(name: str) -> None:
    assert f"](examples/dialect/{name})" in PAGE
    if name in QUOTED:
        form = "diff" if name.endswith(".diff") else "python"
        assert f"```{form}\n{(EXAMPLE / name).read_text()}```\n" in PAGE


def test_one_row_is_added() -> None:
    rows = re.findall(r"(?m)^[+-](?![+-]).*", (EXAMPLE / "wiring.diff").read_text())
    assert len(rows) == 2
    assert rows[1][1:].replace(", LITE", "") == rows[0][1:]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The server's sources with the example in them, wired as the page says."""
    for name in (*COPIED, *CONTRACTS):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    folder = tmp_path / "serve_app/api/lite"
    folder.mkdir()
    for name in FILES:
        if name.endswith(".py"):
            shutil.copyfile(EXAMPLE / name, folder / name)
    before, after = re.findall(r"(?m)^[+-](DIALECTS.*)", (EXAMPLE / "wiring.diff").read_text())
    row = tmp_path / "serve_app/api/dialects.py"
    text = row.read_text()
    assert text.count(f"\n{before}\n") == 1
    there = "from serve_app.api.dialect import Dialect\n"
    text = text.replace(before, after).replace(there, f"{there}{IMPORT}\n")
    row.write_text(text)
    return tmp_path


def ran(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, *arguments),
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_row_is_all_that_is_needed_and_the_contracts_cover_the_folder(tree: Path) -> None:
    lint = ("-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache")
    asked = ran(tree, "-c", ASKED)
    assert "'lite'" in asked.stdout, asked.stderr
    kept = ran(tree, *lint)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    with (tree / "serve_app/api/lite/tasks.py").open("a") as file:
        file.write("\nfrom serve_app.api.v1.wire import ERRORS\n")
    broken = ran(tree, *lint)
    assert broken.returncode == 1
    assert "dialects never import each other BROKEN" in broken.stdout
