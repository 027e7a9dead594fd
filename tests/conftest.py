"""Marks every test by the folder it lies in, and tells Ray what it must know before a test imports
it.
"""

import os
from pathlib import Path

import pytest

from serve_app.launch.environment import load_environment

load_environment(Path(__file__).parents[1] / "serve.env", os.environ)
pytest_plugins = ("tests.databases", "tests.disks", "tests.hubs", "tests.servers")
FOLDERS = {"unit", "api", "serve", "engine", "clients"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for part in Path(item.path).relative_to(Path(__file__).parent).parts:
            if part in FOLDERS:
                item.add_marker(getattr(pytest.mark, part))
