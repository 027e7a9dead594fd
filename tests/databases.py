"""The database of a test: SQLite, or a real Postgres for tests that are marked `on_both`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.database.connection import Database
from serve_app.database.migrate import migrate

on_both = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'polyphony.sqlite'}"
    if getattr(request, "param", "sqlite") == "postgres":
        url = request.getfixturevalue("postgres").new_database("on_both")
    database = Database(url)
    migrate(database)
    yield database
    database.close()
