"""A database that an earlier version has written is brought up to date with everything in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, Table, insert

from serve_app.core.jobs import Submission
from serve_app.core.text.rerank import Rerank
from serve_app.database import migrations
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.jobs.records import new_row
from serve_app.jobs.store import JobStore


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database as the first version made it."""
    url = f"sqlite:///{tmp_path / 'polyphony.sqlite'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").new_database("old")
    database = Database(url)
    config = Config()
    config.set_main_option("script_location", str(migrations.__path__[0]))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    yield database
    database.close()


def job(number: int) -> Submission:
    operation = Rerank(model="m", query="q", documents=("d",))
    return Submission(id=f"job-{number}", operation=operation, owner="me", ref_id=f"r{number}")


async def test_jobs_of_the_first_version_are_kept(old: Database) -> None:
    row = new_row(job(1), queue="rerank", now=1.0)
    with old.engine.begin() as connection:
        table = Table("jobs", MetaData(), autoload_with=connection)
        names = [column.name for column in table.columns if column.name != "number"]
        values = {name: getattr(row, name) for name in names}
        connection.execute(insert(table).values(values))
    migrate(old)
    store = JobStore(old, "")
    kept = await store.get("r1", owner="me")
    assert (kept.id, kept.number, kept.status, kept.operation) == (
        "job-1",
        1,
        "queued",
        job(1).operation,
    )
    added, _ = await store.add(job(2), queue="rerank", capacity=9, max_pending=9, executor="me")
    assert added.number == 2
    assert await store.claim("rerank", capacity=9, executor="me") == ("job-1", "job-2")
