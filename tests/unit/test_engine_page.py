"""docs/adding_an_engine.md: what it says to do makes an engine, and its code is all there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/adding_an_engine.md").read_text()
EXAMPLE = ROOT / "docs/examples/engine"
FORMS = {".py": "python", ".diff": "diff"}
COPIED = ("serve_app", "deployments", "serve.env", "pyproject.toml", "tests")


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLE.iterdir() if path.is_file()))
def test_the_page_quotes_the_example(name: str) -> None:
    text = (EXAMPLE / name).read_text()
    assert f"```{FORMS[Path(name).suffix]}\n{text}```\n" in PAGE


def test_the_page_shows_the_constructor_that_engines_have() -> None:
    source = (ROOT / "deployments/model_engine.py").read_text()
    (shown,) = re.findall(r"(?ms)^```python\n(def __init__.*?)^```$", PAGE)
    assert re.sub(r"\s+", " ", shown).strip() in re.sub(r"\s+", " ", source)


def hunks(diff: str) -> Iterator[tuple[str, str, str]]:
    """File, the lines that are there, and those that take their place."""
    for part in re.split(r"(?m)^\+\+\+ ", diff)[1:]:
        file, _, rest = part.partition("\n")
        for hunk in re.split(r"(?m)^@@\n", rest)[1:]:
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            yield file, old, new


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The server's sources with what the page says in them; nothing is read but the page."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    blocks = dict(zip(("engine.py", "test_engine.py"), whole_files(), strict=True))
    places = dict(re.findall(r"(?m)^\| \[(\w+\.py)\]\([^)]*\) \| `([^`]+)` \|$", PAGE))
    for name, text in blocks.items():
        (tmp_path / places[name]).write_text(text)
    (wiring,) = re.findall(r"(?ms)^```diff\n(.*?)^```$", PAGE)
    for file, old, new in hunks(wiring):
        text = (tmp_path / file).read_text()
        assert text.count(f"\n{old}") == 1, f"{file} has {old!r} not once"
        (tmp_path / file).write_text(text.replace(f"\n{old}", f"\n{new}"))
    return tmp_path


def whole_files() -> list[str]:
    """The page's blocks that are modules."""
    return re.findall(r'(?ms)^```python\n(""".*?)^```$', PAGE)


def test_an_engine_that_is_made_from_the_page_alone_works(tree: Path) -> None:
    (command,) = re.findall(r"(?m)^\.venv/bin/python (-m pytest .*)$", PAGE)
    done = subprocess.run(
        (sys.executable, *command.split(), "-p", "no:cacheprovider"),
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"= 6 passed in", done.stdout)
