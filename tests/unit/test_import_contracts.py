"""Every folder has its place in a contract of import-linter, which `make lint` checks."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
ROOTS: list[str] = CONFIGURATION["root_packages"]


def placed() -> Iterator[str]:
    """The modules that stand in a contract of layers."""
    for contract in CONFIGURATION["contracts"]:
        for container in contract.get("containers", ()):
            for layer in contract["layers"]:
                yield from (f"{container}.{name.strip()}" for name in layer.split("|"))


def folders() -> Iterator[str]:
    for root in ROOTS:
        for file in sorted((ROOT / root).rglob("*/__init__.py")):
            yield ".".join(file.parent.relative_to(ROOT).parts)


def test_every_folder_has_a_place() -> None:
    assert set(folders()) - set(placed()) == set()


def test_what_has_a_place_is_there() -> None:
    files = (ROOT.joinpath(*name.split(".")) for name in placed())
    assert [str(f) for f in files if not (f.is_dir() or f.with_suffix(".py").is_file())] == []


def test_circles_are_looked_for_everywhere() -> None:
    found = [c for c in CONFIGURATION["contracts"] if c["type"] == "acyclic_siblings"]
    assert [sorted(c["ancestors"]) for c in found] == [sorted(ROOTS)]
    assert not any("ignore_imports" in c or "skip_descendants" in c for c in found)
