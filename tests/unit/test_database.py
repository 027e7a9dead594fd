"""Transactions that are repeated, and schemas that are brought up to date or refused."""

import asyncio
import sqlite3
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from serve_app.core.errors import BackendUnavailable, Unavailable
from serve_app.database.connection import THREADS, Database, away_as_unavailable, with_driver
from serve_app.database.migrate import SchemaTooNew, migrate
from serve_app.database.schema import SettingRow, Table


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "polyphony.sqlite"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}")
    migrate(database)
    yield database
    database.close()


def count_up(session: Session) -> int:
    row = session.get(SettingRow, "count")
    if row is None:
        row = SettingRow(name="count", value=0)
        session.add(row)
    row.value = int(row.value) + 1
    return int(row.value)


def test_migrations_make_exactly_the_tables_of_the_schema(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_nobody_else_can_read_the_file_or_what_stands_beside_it(
    database: Database, file: Path
) -> None:
    migrate(database)
    database.write_now(count_up)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.glob("*.sqlite*")}
    assert len(found) > 1
    assert set(found.values()) == {0o600}


def test_a_database_in_memory_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    database = Database("sqlite://")
    migrate(database)
    database.close()
    assert list(tmp_path.iterdir()) == []


def test_migrating_twice_changes_nothing(database: Database) -> None:
    database.write_now(count_up)
    migrate(database)
    assert database.write_now(count_up) == 2


def test_a_newer_schema_is_refused_and_left_alone(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="'9999'"):
        migrate(database)
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == (
            "9999"
        )


async def test_writers_of_many_threads_lose_no_update(database: Database) -> None:
    threads = [
        threading.Thread(target=lambda: [database.write_now(count_up) for _ in range(25)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert await database.write(count_up) == 101


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def fail(session: Session) -> None:
        count_up(session)
        session.flush()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        database.write_now(fail)
    assert database.write_now(count_up) == 1


def test_a_locked_database_is_waited_for(database: Database, file: Path) -> None:
    """The lock outlasts the driver's own patience, so that the transaction is begun again."""
    lock = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    release = threading.Timer(3, lambda: (lock.execute("COMMIT"), lock.close()))
    release.start()
    assert database.write_now(count_up) == 1
    release.join()


def test_a_database_locked_for_good_is_a_clean_failure(file: Path) -> None:
    database = Database(f"sqlite:///{file}", patience_s=0)
    migrate(database)
    lock = sqlite3.connect(file, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="nothing was changed"):
        database.write_now(count_up)
    assert database.read_now(lambda session: session.get(SettingRow, "count")) is None
    lock.execute("COMMIT")
    lock.close()
    assert database.write_now(count_up) == 1
    database.close()


def test_an_error_of_a_driver_outside_of_a_transaction_says_the_same(file: Path) -> None:
    """DBOS has connections of its own."""
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": 0})
    lock = sqlite3.connect(file, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(Unavailable, match="the database does not respond"),
        away_as_unavailable(),
        engine.connect() as connection,
    ):
        connection.exec_driver_sql("CREATE TABLE anything (id)")
    lock.close()
    with (
        pytest.raises(OperationalError, match="syntax"),
        away_as_unavailable(),
        engine.connect() as connection,
    ):
        connection.exec_driver_sql("CREATE nothing")
    engine.dispose()


def test_a_full_disk_is_said_at_once(small_database_disk: Path) -> None:
    database = Database(f"sqlite:///{small_database_disk / 'polyphony.sqlite'}", patience_s=600)
    migrate(database)

    def write(session: Session) -> None:
        session.merge(SettingRow(name="count", value="x" * 4 * 1024**2))

    with pytest.raises(
        BackendUnavailable, match="the disk of the database is full, and nothing was"
    ):
        database.write_now(write)
    assert database.read_now(lambda session: session.get(SettingRow, "count")) is None
    assert database.write_now(count_up) == 1
    database.close()


@pytest.mark.parametrize("url", ["postgres://u:p@h/d", "postgresql://u:p@h/d"])
def test_a_postgres_url_needs_no_driver_name(url: str) -> None:
    assert with_driver(url) == "postgresql+psycopg://u:p@h/d"


async def test_those_in_line_do_not_add_their_patience_up(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'polyphony.sqlite'}", patience_s=0.6)
    tries: Counter[int] = Counter()

    async def read(number: int) -> None:
        def work(session: Session) -> None:
            tries[number] += 1
            raise OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked"))

        with pytest.raises(Unavailable):
            await database.read(work)

    await asyncio.gather(*(read(number) for number in range(3 * THREADS)))
    assert all(tries[number] > 1 for number in range(THREADS))
    # Once each, give or take: their patience was over before it was their turn.
    assert sum(tries[number] for number in range(THREADS, 3 * THREADS)) < 3 * THREADS
    database.close()
