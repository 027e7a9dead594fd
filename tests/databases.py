"""The database of a test: SQLite, or a real Postgres for tests that are marked `on_both`."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.database.connection import Database
from serve_app.database.migrate import migrate

on_both = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of today's schema, to be copied: migrating takes longer than most tests."""
    file = tmp_path_factory.mktemp("migrated") / "polyphony.sqlite"
    database = Database(f"sqlite:///{file}")
    migrate(database)
    database.close()
    return file


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Iterator[Database]:
    if getattr(request, "param", "sqlite") == "postgres":
        database = Database(request.getfixturevalue("postgres").new_database("on_both"))
        migrate(database)
    else:
        file = shutil.copyfile(migrated, tmp_path / "polyphony.sqlite")
        database = Database(f"sqlite:///{file}")
    yield database
    # A connection that is in use when the pool is given up would be reported to a later test.
    database.close(wait=True)
