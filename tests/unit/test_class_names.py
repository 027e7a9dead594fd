"""Every class of ours has a name of its own, so that a name in a log or a traceback is enough."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("serve_app", "deployments", "pipelines")
SHARED_NAMES: dict[str, str] = {}
"""Names that two classes have for a reason, which is said."""


def classes() -> Iterator[tuple[str, str]]:
    """The names of all classes, nested ones too, and where each one is."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield node.name, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_no_two_classes_share_a_name() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for name, place in classes():
        found[name].append(place)
    assert len(found) > 500
    shared = {name: places for name, places in found.items() if len(places) > 1}
    assert not shared
