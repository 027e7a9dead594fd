"""docs/pipelines.md: its code is that of docs/examples, and what it says to do makes a pipeline."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/postcard"
PLACES = {
    "messages.py": "serve_app/core/video/postcard.py",
    "pipeline.py": "pipelines/postcard.py",
    "route.py": "serve_app/api/v1/video/postcard.py",
    "test_pipeline.py": "tests/unit/test_postcard.py",
    "test_route.py": "tests/api/test_postcard.py",
}
COPIED = (
    "serve_app",
    "deployments",
    "pipelines",
    "serve.env",
    "tests/__init__.py",
    "tests/conftest.py",
    "tests/databases.py",
    "tests/grouping.py",
    "tests/disks.py",
    "tests/hubs.py",
    "tests/packages.py",
    "tests/providers.py",
    "tests/running.py",
    "tests/servers.py",
    "tests/upstreams",
    "tests/api/conftest.py",
    "tests/api/test_jobs.py",
    "pyproject.toml",
    "serve_config.local.yaml",
)


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLE.iterdir() if path.is_file()))
def test_the_page_quotes_the_example(name: str) -> None:
    page = (ROOT / "docs/pipelines.md").read_text()
    text = (EXAMPLE / name).read_text()
    form = "diff" if name.endswith(".diff") else "python"
    is_quoted = f"```{form}\n{text}```\n" in page
    # Tests are long, and named instead.
    assert is_quoted or (name in PLACES and f"](examples/postcard/{name})" in page)
    assert is_quoted or name.startswith("test_")


def test_the_page_says_where_the_files_go() -> None:
    page = (ROOT / "docs/pipelines.md").read_text()
    for name, place in PLACES.items():
        assert f"| [{name}](examples/postcard/{name}) | `{place}` |" in page


def hunks(diff: str) -> Iterator[tuple[str, list[str]]]:
    """File, and the lines: the first, ` `, is there once, `+` is new."""
    for part in re.split(r"(?m)^\+\+\+ ", diff)[1:]:
        file, _, rest = part.partition("\n")
        for hunk in re.split(r"(?m)^@@\n", rest)[1:]:
            yield file, hunk.splitlines()


def wire(tree: Path) -> None:
    """What the page says: every line that is new goes below the one that is there."""
    for file, (there, *new) in hunks((EXAMPLE / "wiring.diff").read_text()):
        text = (tree / file).read_text()
        anchor = f"\n{there[1:]}\n"
        assert there[0] == " "
        assert text.count(anchor) == 1, f"{file} has {there[1:]!r} not once"
        assert all(line[0] == "+" for line in new)
        lines = "\n".join(line[1:] for line in new)
        (tree / file).write_text(text.replace(anchor, f"{anchor}{lines}\n"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The server's sources with the example in them."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    for name, place in PLACES.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(EXAMPLE / name, tmp_path / place)
    wire(tmp_path)
    return tmp_path


def test_the_example_works_when_it_is_wired_as_the_page_says(tree: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}

    def ran(*arguments: str) -> str:
        done = subprocess.run(
            (sys.executable, *arguments),
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    tests = [place for place in PLACES.values() if place.startswith("tests/")]
    assert re.search(r"= 13 passed in", ran("-m", "pytest", "-p", "no:cacheprovider", *tests))
    read = (
        "from pathlib import Path; from serve_app.launch.config_file import read_plan; "
        "plan = read_plan(Path('serve_config.local.yaml')); "
        "print([pipeline.name for pipeline in plan.application.args.pipelines])"
    )
    assert "'postcard'" in ran("-c", read)
