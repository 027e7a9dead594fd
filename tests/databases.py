"""The database of a test: SQLite, or a real Postgres for tests that are marked `on_both`."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from serve_app.access.bootstrap import prepare_access
from serve_app.access.passwords import Passwords
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate

CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
Prepared = Callable[[Mapping[str, str]], Path]
COMPILED: dict[Any, Any] = {}
"""Statements that a worker has compiled, for all its files."""
on_both = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)


class AnyFile(SQLiteDialect_pysqlite):
    """SQLite's dialect. SQLAlchemy compiles a statement once per dialect, and has one per file:
    this one is the same for all.
    """

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyFile)

    def __hash__(self) -> int:
        return hash(AnyFile)


registry.register("sqlite.anyfile", __name__, AnyFile.__name__)


def opened(file: Path) -> Database:
    """A database of SQLite that compiles nothing which another one has compiled: that takes longer
    than most tests.
    """
    database = Database(f"sqlite+anyfile:///{file}")
    database.engine.update_execution_options(compiled_cache=COMPILED)
    return database


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
    """The database of a server that has started once with an environment, to be copied."""
    made: dict[frozenset[tuple[str, str]], Path] = {}

    def file_for(environment: Mapping[str, str]) -> Path:
        key = frozenset(environment.items())
        if key not in made:
            file = tmp_path_factory.mktemp("prepared") / "polyphony.sqlite"
            shutil.copyfile(migrated, file)
            database = opened(file)
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
        database = opened(shutil.copyfile(migrated, tmp_path / "polyphony.sqlite"))
    yield database
    # A connection that is in use when the pool is given up would be reported to a later test.
    database.close(wait=True)
