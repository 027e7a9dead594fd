"""What the README names exists, and what exists is named."""

import re
from pathlib import Path
from typing import get_args

import pytest

from serve_app.api.v1.router import routes
from serve_app.core.options.every_engine import AnyEngineOptions

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RESULTS = sorted((ROOT / "docs/results").iterdir())
LIMIT_BYTES = 60_000


def test_every_engine_is_in_the_table() -> None:
    union, *_ = get_args(AnyEngineOptions)
    engines = {kind.model_fields["engine"].default for kind in get_args(union)}
    assert engines == set(re.findall(r"(?m)^\| `(\w+)` \|", README))


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!http)([^)#\s]+)[^)]*\)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_the_layout_is_todays() -> None:
    (tree,) = re.findall(r"(?ms)^## Layout\n```\n(.*?)^```$", README)
    folder = ""
    for line in tree.splitlines():
        name = line.split()[0]
        folder = folder if line.startswith("  ") else ""
        assert (ROOT / folder / name).exists(), name
        if not line.startswith("  ") and name.endswith("/"):
            folder = name


def test_every_route_that_it_names_is_served() -> None:
    served = [re.sub(r"\{[^}]+\}", "[^/]+", str(getattr(route, "path", ""))) for route in routes]
    named = re.findall(r"(?<=[`r])/v1/[\w/-]*\w", README)
    assert len(named) > 20
    for name in named:
        assert any(re.fullmatch(path, name) or path.startswith(f"{name}/") for path in served), name


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.name)
def test_results_are_small_and_shown(file: Path) -> None:
    assert file.stat().st_size < LIMIT_BYTES
    assert f"(docs/results/{file.name})" in README
