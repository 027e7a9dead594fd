"""Marks every test by the folder it lies in."""

from pathlib import Path

import pytest

pytest_plugins = ("tests.databases", "tests.disks", "tests.servers")
FOLDERS = {"unit", "api", "serve", "engine", "clients"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for part in Path(item.path).relative_to(Path(__file__).parent).parts:
            if part in FOLDERS:
                item.add_marker(getattr(pytest.mark, part))
