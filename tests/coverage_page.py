"""Writes docs/coverage.md from the rows and the tests that are marked with them:
`python -m tests.coverage_page`.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.coverage_rows import ROWS, Row

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "coverage.md"
HEAD = """# Coverage

What is documented of the systems whose clients this server serves, the page that says how it is
served here, and the tests that show it. The page is written from the marks of the tests
(`@pytest.mark.covers("<system>: <item>")`) by `python -m tests.coverage_page`; a test checks that
it is up to date.
"""


def marked_tests() -> dict[str, list[str]]:
    """By what a mark says, the tests that have it, as `path::name` below tests/."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for name in _marks(function):
                    found[name].append(f"{path.relative_to(TESTS).as_posix()}::{function.name}")
    return found


def rows() -> Iterator[tuple[str, Row]]:
    """Every row, and what a mark calls it."""
    for system, of_system in ROWS.items():
        yield from ((f"{system}: {row.item}", row) for row in of_system)


def page() -> str:
    """What docs/coverage.md has to be."""
    tests = marked_tests()
    parts = [HEAD]
    for system, of_system in ROWS.items():
        parts.append(f"\n## {system}\n| documented | page | tests |\n|---|---|---|\n")
        parts += [_line(row, tests.get(f"{system}: {row.item}", [])) for row in of_system]
    return "".join(parts)


def _line(row: Row, tests: list[str]) -> str:
    if row.is_planned:
        return f"| {row.item} | | not yet |\n"
    files = sorted({name.partition("::")[0] for name in tests})
    links = ", ".join(f"[{Path(name).stem}](../tests/{name})" for name in files)
    return f"| {row.item} | [{Path(row.page).stem}]({row.page}) | {links} |\n"


def _marks(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for mark in function.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.covers":
            yield from (str(each.value) for each in mark.args if isinstance(each, ast.Constant))


if __name__ == "__main__":
    PAGE.write_text(page())
