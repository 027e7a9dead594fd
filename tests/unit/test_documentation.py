"""What the README and docs/ name exists, and what exists is named."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from serve_app.api.v1.router import routes
from serve_app.core.errors import AppError
from serve_app.core.options.every_engine import AnyEngineOptions

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "findings").glob("*.md")]
)
RESULTS = sorted((ROOT / "docs/results").iterdir())
SOURCES = ("serve_app", "deployments", "pipelines", "tests", "benchmarks")
LIMIT_BYTES = 60_000
FILM_BYTES = 240_000
NOT_OURS = {"dashboard.py", "monitor.py"}
"""Processes of Ray's."""


def text(page: str) -> str:
    """A page's text."""
    return (ROOT / page).read_text()


def prose(page: Path) -> str:
    """A page without its blocks of code, in which brackets are no links."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text())


def anchors(page: Path) -> set[str]:
    """What a code host makes of a page's headings."""
    titles = re.findall(r"(?m)^#+ (.+)$", prose(page))
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


def tree() -> Iterator[Path]:
    """Every path that the layout names, by its indentation."""
    (layout,) = re.findall(r"(?ms)^## Layout\n```\n(.*?)^```$", text("docs/architecture.md"))
    above: list[Path] = [ROOT]
    for line in layout.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[: depth + 1], above[depth] / line.split()[0]]
        yield above[-1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    known = [
        f"/{file.relative_to(ROOT)}" for part in SOURCES for file in (ROOT / part).rglob("*.py")
    ]
    # What a pipeline or an engine of one's own would be called is not there yet.
    if page.name not in {"pipelines.md", "adding_an_engine.md", "adding_a_dialect.md"}:
        for name in set(re.findall(r"`(?:python )?([\w/]+\.py)`", prose(page))) - NOT_OURS:
            assert any(file.endswith(f"/{name}") for file in known), name


def test_the_readme_leads_to_every_page() -> None:
    named = set(re.findall(r"\]\((docs/\w+\.md)\b", text("README.md")))
    assert named == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


def test_every_decision_is_listed() -> None:
    decisions = {file.name for file in (ROOT / "docs/decisions").glob("0*.md")}
    assert set(re.findall(r"\]\((0[\w-]+\.md)\)", text("docs/decisions/README.md"))) == decisions


def test_every_engine_is_in_the_table() -> None:
    union, *_ = get_args(AnyEngineOptions)
    engines = {kind.model_fields["engine"].default for kind in get_args(union)}
    assert engines == set(re.findall(r"(?m)^\| `(\w+)` \|", text("docs/engines.md")))


def test_every_code_is_in_the_table_with_its_status() -> None:
    def kinds(kind: type[AppError]) -> Iterator[type[AppError]]:
        yield kind
        for narrower in kind.__subclasses__():
            if narrower.__module__ == AppError.__module__:
                yield from kinds(narrower)

    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| ([\d, ]+) \|", text("docs/errors.md")))
    for kind in kinds(AppError):
        assert str(kind.status) in rows[kind.default_code]
    sources = (file.read_text() for part in SOURCES[:3] for file in (ROOT / part).rglob("*.py"))
    given = {code for source in sources for code in re.findall(r"\bcode=\"(\w+)\"", source)}
    assert given
    assert given <= set(rows)


def test_the_layout_is_todays() -> None:
    for path in tree():
        assert path.exists(), path


def test_every_folder_of_modules_is_in_the_layout() -> None:
    folders = {file.parent for part in SOURCES[:3] for file in (ROOT / part).rglob("__init__.py")}
    # Migrations have one folder of files that nobody looks for by name.
    folders.discard(ROOT / "serve_app/database/migrations/versions")
    assert folders <= set(tree())


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_every_route_that_it_names_is_served(page: str) -> None:
    served = [re.sub(r"\{[^}]+\}", "[^/]+", str(getattr(route, "path", ""))) for route in routes]
    for name in re.findall(r"(?<=[`r])/v1/[\w/-]*\w", text(page)):
        assert any(re.fullmatch(path, name) or path.startswith(f"{name}/") for path in served), name


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.name)
def test_results_are_small_and_shown(file: Path) -> None:
    assert file.stat().st_size < (FILM_BYTES if file.name == "story.mp4" else LIMIT_BYTES)
    assert any(f"results/{file.name})" in page.read_text() for page in PAGES)
