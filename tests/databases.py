"""The database of a test: SQLite, or a real Postgres for tests that are marked `on_both`."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from serve_app.access.bootstrap import prepare_access
from serve_app.access.passwords import Passwords
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate

CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
Prepared = Callable[[Mapping[str, str]], Path]
on_both = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of today's schema, to be copied: migrating takes longer than most tests."""
    file = tmp_path_factory.mktemp("migrated") / "polyphony.sqlite"
    database = Database(f"sqlite:///{file}")
    migrate(database)
    database.close()
    return file


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Prepared:
    """The database of a server that has started once with an environment, to be copied: SQLAlchemy
    compiles its statements anew for each file, which takes longer than most tests.
    """
    made: dict[frozenset[tuple[str, str]], Path] = {}

    def file_for(environment: Mapping[str, str]) -> Path:
        key = frozenset(environment.items())
        if key not in made:
            file = tmp_path_factory.mktemp("prepared") / "polyphony.sqlite"
            shutil.copyfile(migrated, file)
            database = Database(f"sqlite:///{file}")
            prepare_access(database, environment, passwords=CHEAP)
            database.close()
            made[key] = file
        return made[key]

    return file_for


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
