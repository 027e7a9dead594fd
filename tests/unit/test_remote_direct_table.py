"""Direct jobs that the deployment `jobs` records, and what happens when it does not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from ray.exceptions import RayActorError

from serve_app.core.errors import NotFound, Unavailable
from serve_app.core.jobs import Submission
from serve_app.core.text.embeddings import Embed
from serve_app.database.connection import Database
from serve_app.jobs import remote
from serve_app.jobs.direct_records import DirectRun, ended_record
from serve_app.jobs.direct_table import Batch, DirectTable
from serve_app.jobs.remote import RemoteDirectTable
from serve_app.jobs.store import JobStore

ASKED = Submission(id="job-a", operation=Embed(model="m", texts=("a",)), owner="ann")
ENDED = Batch(
    begun={"job-a": ended_record(DirectRun(ASKED, 1.0, None), None)},
    ended={},
    gone=(),
    going_on={"job-b"},
    is_due=False,
)


class Handle:
    """That of a deployment which answers as it is told."""

    def __init__(self, answer: Callable[[Batch], Awaitable[frozenset[str]]]) -> None:
        self.remote = answer

    def options(self, **options: str) -> "Handle":
        assert options["method_name"] == "record_direct"
        return self


def table_over(
    database: Database, answer: Callable[[Batch], Awaitable[frozenset[str]]]
) -> RemoteDirectTable:
    return RemoteDirectTable(cast("Any", Handle(answer)), DirectTable(database))


async def test_what_the_deployment_has_recorded_is_not_written_again(database: Database) -> None:
    given: list[Batch] = []

    async def answer(batch: Batch) -> frozenset[str]:
        given.append(batch)
        return frozenset({"job-b"})

    assert await table_over(database, answer).write(ENDED) == {"job-b"}
    assert given == [ENDED]
    with pytest.raises(NotFound):
        await JobStore(database, "").get("job-a")


async def test_nothing_to_be_written_is_no_call(database: Database) -> None:
    async def answer(batch: Batch) -> frozenset[str]:
        raise AssertionError(batch)

    nothing = Batch(begun={}, ended={}, gone=(), going_on=(), is_due=True)
    assert await table_over(database, answer).write(nothing) == frozenset()


async def dies(_: Batch) -> frozenset[str]:
    raise RayActorError


async def is_away(_: Batch) -> frozenset[str]:
    raise Unavailable("the database does not respond")


async def is_silent(_: Batch) -> frozenset[str]:
    await asyncio.Event().wait()
    return frozenset()


@pytest.mark.parametrize("answer", [dies, is_away, is_silent])
async def test_a_deployment_that_does_not_answer_is_not_needed(
    answer: Callable[[Batch], Awaitable[frozenset[str]]],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "RECORD_S", 0.01)
    assert await table_over(database, answer).write(ENDED) == frozenset()
    assert (await JobStore(database, "").get("job-a")).status == "succeeded"
