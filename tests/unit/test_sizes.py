"""Modules and functions stay small enough to be read at a sitting."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("serve_app", "deployments", "pipelines")
LONGEST_MODULE, MEDIAN_MODULE, LONGEST_FUNCTION = 300, 110, 40


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def num_lines(module: Path) -> int:
    return len(module.read_text("utf-8").splitlines())


def functions(module: Path) -> Iterator[tuple[str, int]]:
    """Every function's place, and its lines from `def` to the last."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            yield f"{module.relative_to(ROOT)}:{node.lineno} {node.name}", length


@pytest.mark.parametrize("folder", [*PRODUCT, "benchmarks", "docs/examples"])
def test_functions_are_short(folder: str) -> None:
    found = [each for module in modules(folder) for each in functions(module)]
    assert found
    assert [each for each in found if each[1] > LONGEST_FUNCTION] == []


@pytest.mark.parametrize("folder", [*PRODUCT, "benchmarks", "docs/examples"])
def test_modules_are_short(folder: str) -> None:
    lengths = {str(module.relative_to(ROOT)): num_lines(module) for module in modules(folder)}
    assert {name for name, length in lengths.items() if length > LONGEST_MODULE} == set()


def test_half_of_all_modules_are_shorter() -> None:
    assert median(num_lines(module) for folder in PRODUCT for module in modules(folder)) <= (
        MEDIAN_MODULE
    )
