"""The database on a real Postgres: the same transactions, and what only a server can do wrong."""

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from serve_app.access.bootstrap import prepare_access
from serve_app.access.credential_cache import CredentialCache
from serve_app.access.sign_in import SignIn
from serve_app.access.token_store import NewToken, add_token, revoke_token
from serve_app.access.users import add_user, remove_user
from serve_app.core.errors import InvalidRequest, RateLimited, Unauthenticated, Unavailable
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.database.schema import SettingRow, Table, TokenRow, UserRow
from tests.servers import DatabaseServer
from tests.unit.test_passwords import CHEAP


@pytest.fixture
def url(postgres: DatabaseServer) -> str:
    return postgres.new_database("unit")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    migrate(database)
    yield database
    database.close()


def count_up(session: Session) -> int:
    row = session.get(SettingRow, "count", with_for_update=True)
    if row is None:
        row = SettingRow(name="count", value=0)
        session.add(row)
    row.value = int(row.value) + 1
    return int(row.value)


def test_migrations_make_exactly_the_tables_of_the_schema(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_several_processes_may_migrate_at_once(url: str) -> None:
    databases = [Database(url) for _ in range(4)]
    threads = [threading.Thread(target=migrate, args=(each,)) for each in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert databases[0].write_now(count_up) == 1
    for each in databases:
        each.close()


async def test_what_was_written_is_read(database: Database) -> None:
    value = {"text": "ü 漢", "list": [1, None, {"deep": 0.5}]}
    await database.write(lambda session: session.add(SettingRow(name="json", value=value)))
    row = await database.read(lambda session: session.get(SettingRow, "json"))
    assert row is not None
    assert row.value == value


def test_a_second_row_of_one_key_is_refused_and_not_tried_again(database: Database) -> None:
    database.write_now(lambda session: session.add(SettingRow(name="once", value=1)))
    tries = []

    def again(session: Session) -> None:
        tries.append(1)
        session.add(SettingRow(name="once", value=2))

    with pytest.raises(IntegrityError):
        database.write_now(again)
    assert tries == [1]


def test_writers_of_many_threads_lose_no_update(database: Database) -> None:
    database.write_now(count_up)
    threads = [
        threading.Thread(target=lambda: [database.write_now(count_up) for _ in range(25)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.write_now(count_up) == 102


def test_connections_that_were_cut_are_made_anew(
    database: Database, postgres: DatabaseServer
) -> None:
    assert database.write_now(count_up) == 1
    postgres.disconnect_all()
    assert database.write_now(count_up) == 2


def test_a_transaction_that_is_cut_off_is_begun_again(
    database: Database, postgres: DatabaseServer
) -> None:
    cuts = [postgres.disconnect_all]

    def work(session: Session) -> int:
        counted = count_up(session)
        session.flush()
        if cuts:
            cuts.pop()()
        return counted

    assert database.write_now(work) == 1
    assert database.read_now(lambda session: session.scalars(select(SettingRow.value)).all()) == [1]


def test_a_server_that_stands_still_is_waited_for(
    database: Database, postgres: DatabaseServer
) -> None:
    assert database.write_now(count_up) == 1
    postgres.signal_all(signal.SIGSTOP)
    go_on = threading.Timer(3, postgres.signal_all, (signal.SIGCONT,))
    go_on.start()
    assert database.write_now(count_up) == 2
    go_on.join()


def test_a_server_that_is_gone_is_a_clean_failure() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none", patience_s=0)
    with pytest.raises(Unavailable, match="nothing was changed"):
        database.write_now(count_up)
    database.close()


async def test_tokens_and_their_revocation_cross_replicas(database: Database) -> None:
    """As on SQLite; ids are never reused either."""
    assert await asyncio.to_thread(prepare_access, database, {"ADMIN_TOKEN": "sk-boss"}) is None
    credentials = CredentialCache(database)
    assert await credentials.token("sk-boss") is not None
    new = NewToken("sk-made", "made", ("inference",), "api")
    first = await database.write(lambda session: add_token(session, new, now=1.0))
    await credentials.refresh()
    assert await credentials.token("sk-made") is not None
    await database.write(lambda session: revoke_token(session, first.id))
    await credentials.refresh()
    assert await credentials.token("sk-made") is None
    await credentials.finish()
    second = await database.write(lambda session: add_token(session, new, now=2.0))
    assert second.id > first.id
    assert await database.read(lambda session: session.get(TokenRow, first.id)) is None


async def test_signing_in_and_users(database: Database) -> None:
    """Sessions end with their user, the last admin stays, and failures are counted."""
    environment = {"ADMIN_PASSWORD": "correct horse", "ADMIN_USERNAME": "ada"}
    await asyncio.to_thread(prepare_access, database, environment, passwords=CHEAP)
    sign_in, credentials = SignIn(database, CHEAP), CredentialCache(database)
    opened = await sign_in.sign_in("ada", "correct horse", address="192.0.2.1")
    assert await credentials.session(opened.cookie) is not None
    user_id = opened.session.user_id
    with pytest.raises(InvalidRequest, match="last admin"):
        await database.write(lambda session: remove_user(session, user_id))
    hashed = CHEAP.hash_now("correct horse")

    def add_eve(session: Session) -> UserRow:
        return add_user(session, "eve", hashed, role="admin", must_change_password=False, now=1.0)

    await database.write(add_eve)
    with pytest.raises(InvalidRequest, match="taken"):
        await database.write(add_eve)
    await database.write(lambda session: remove_user(session, user_id))
    await credentials.refresh()
    assert await credentials.session(opened.cookie) is None
    for name in ("ada", "' OR 1=1 --", "zero\0byte", "half \ud800", "ada"):
        with pytest.raises(Unauthenticated):
            await sign_in.sign_in(name, "wrong", address="192.0.2.1")
    with pytest.raises(RateLimited):
        await sign_in.sign_in("eve", "correct horse", address="192.0.2.1")
    await credentials.finish()


async def test_many_sign_ins_on_many_replicas_at_once_are_no_way_round(
    url: str, database: Database
) -> None:
    prepare_access(database, {"ADMIN_PASSWORD": "correct horse"}, passwords=CHEAP)
    replicas = [Database(url) for _ in range(4)]
    tries = [
        SignIn(replicas[number % 4], CHEAP).sign_in("admin", "wrong", address=f"192.0.2.{number}")
        for number in range(40)
    ]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, Unauthenticated) for result in results) == 5
    assert sum(isinstance(result, RateLimited) for result in results) == 35
    for replica in replicas:
        replica.close()
