"""An id that one replica of the ingress has given means the same on every other, and after a
restart.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from serve_app.api.app import create_app
from serve_app.api.context import Context
from serve_app.api.dialects import DIALECTS
from serve_app.core.errors import AppError, Cancelled, NotFound, StillRunning, UpstreamError
from serve_app.core.jobs import Job, JobRunner, Submission
from serve_app.core.text.embeddings import Embed
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.database.schema import JobRow
from serve_app.jobs.direct import DirectJobs
from serve_app.jobs.direct_table import DirectTable
from tests.api.conftest import MakeContext, client_of
from tests.dialect_example import example
from tests.servers import DatabaseServer

SAY = {"messages": [{"role": "user", "content": "hello"}], "model": "echo"}
LITE = example()


def submission(job_id: str, owner: str = "anonymous") -> Submission:
    return Submission(id=job_id, operation=Embed(model="digest", texts=("a",)), owner=owner)


class Endless:
    """Work that ends when it is stopped."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()

    async def __call__(self) -> None:
        self.has_begun.set()
        await asyncio.Event().wait()


def showing(context: Context) -> Context:
    """The same, of which others are shown what runs as soon as it is written."""
    jobs = DirectJobs(context.jobs, DirectTable(context.database), shown_after_s=0)
    return replace(context, direct_jobs=jobs)


@pytest.fixture(params=["sqlite", "postgres"])
async def replicas(
    request: pytest.FixtureRequest, make_context: MakeContext
) -> AsyncIterator[tuple[Context, httpx.AsyncClient]]:
    """One replica of the ingress, and a client of another over the same database."""
    url = None
    if request.param == "postgres":
        url = request.getfixturevalue("migrated_postgres")
    one, other = (make_context(database_url=url) for _ in range(2))
    async with client_of(other) as client:
        yield showing(one), client


@pytest.fixture
def migrated_postgres(postgres: DatabaseServer) -> str:
    url = postgres.new_database("replicas")
    database = Database(url)
    migrate(database)
    database.close()
    return url


async def test_how_a_call_ended_is_known_everywhere(
    replicas: tuple[Context, httpx.AsyncClient],
) -> None:
    one, other = replicas
    async with client_of(one) as own:
        answer = await own.post("/v1/chat/completions", json=SAY | {"stream": True})
        path = f"/v1/jobs/{answer.headers['x-job-id']}"
        at_once = (await own.get(path)).json()
        await one.direct_jobs.flush()
        assert one.direct_jobs.find(at_once["id"], owner=None) is None
        assert (await own.get(path)).json() == at_once
    assert (at_once["status"], at_once["model"]) == ("succeeded", "echo")
    assert (await other.get(path)).json() == at_once
    assert "event: done" in (await other.get(f"{path}/events")).text
    assert (await other.post(f"{path}/cancel")).status_code == 409
    assert (await other.get("/v1/jobs")).json()["total"] == 0


async def test_one_that_failed_is_known_with_its_error_and_dialect(
    replicas: tuple[Context, httpx.AsyncClient],
) -> None:
    one, other = replicas

    async def failing() -> None:
        raise UpstreamError("the provider said \0", param="texts")

    asked = submission("job-a").model_copy(update={"dialect": "lite"})
    with pytest.raises(UpstreamError):
        await one.direct_jobs.run(asked, failing, timeout_s=10)
    await one.direct_jobs.flush()
    job = (await other.get("/v1/jobs/job-a")).json()
    assert (job["status"], job["operation"], job["model"]) == ("failed", "embed", "digest")
    assert (job["error"]["code"], job["error"]["param"]) == ("upstream_error", "input")
    assert (await one.job_store.get("job-a")).dialect == "lite"


async def test_only_its_owner_is_told(replicas: tuple[Context, httpx.AsyncClient]) -> None:
    one, _ = replicas

    async def nothing() -> None:
        return None

    await one.direct_jobs.run(submission("job-a", owner="ann"), nothing, timeout_s=10)
    await one.direct_jobs.flush()
    assert (await one.job_store.get("job-a", owner="ann")).owner == "ann"
    assert (await one.job_store.get("job-a")).owner == "ann"
    for name in ("job-a", "job-b", "job-\ud800"):
        with pytest.raises(NotFound):
            await one.job_store.get(name, owner="ben")


async def test_one_that_runs_is_seen_and_stopped_by_another(
    replicas: tuple[Context, httpx.AsyncClient],
) -> None:
    one, other = replicas
    work = Endless()
    running = asyncio.create_task(one.direct_jobs.run(submission("job-a"), work, timeout_s=60))
    await work.has_begun.wait()
    await one.direct_jobs.flush()
    job = (await other.get("/v1/jobs/job-a")).json()
    assert (job["status"], job["finished_at"]) == ("running", None)
    assert await _listed(other) == ["job-a"]
    async with client_of(one) as own:
        assert await _listed(own) == ["job-a"]
    queue = (await other.get("/queue/jobs")).json()["jobs"]
    assert [shown["id"] for shown in queue] == ["job-a"]
    assert (await other.get("/queue/status")).json()["queue_depth"] == 1
    assert await one.running_direct("ann") == []
    assert (await other.post("/v1/jobs/job-a/cancel")).status_code == 200
    await one.direct_jobs.flush()
    with pytest.raises(Cancelled):
        await running
    async with client_of(one) as own:
        assert await _listed(own) == []
    await one.direct_jobs.flush()
    assert await _listed(other) == []
    assert (await other.get("/v1/jobs/job-a")).json()["status"] == "cancelled"
    assert (await other.post("/v1/jobs/job-a/cancel")).status_code == 409


async def test_one_that_takes_too_long_is_the_durable_job_of_its_id(
    replicas: tuple[Context, httpx.AsyncClient],
) -> None:
    one, other = replicas
    work = Endless()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            _still_running(one.direct_jobs.run(submission("job-a"), work, timeout_s=0.2))
        )
        await work.has_begun.wait()
        await one.direct_jobs.flush()
    assert running.result().job_id == "job-a"
    assert await _listed(other) == ["job-a"]
    await one.direct_jobs.flush()
    job = (await other.get("/v1/jobs/job-a")).json()
    assert job["number"] >= 1
    # What was written of it while it was direct is gone: nothing is left when the job is.
    await one.job_store.database.write(lambda session: session.execute(delete(JobRow)))
    assert (await other.get("/v1/jobs/job-a")).status_code == 404


class SlowToAccept:
    """What runs jobs, and takes its time before it has one."""

    def __init__(self, jobs: JobRunner) -> None:
        self._jobs = jobs
        self.is_asked, self.goes_on = asyncio.Event(), asyncio.Event()
        self.cancelled: list[str] = []

    async def submit(self, submission: Submission) -> Job:
        self.is_asked.set()
        await self.goes_on.wait()
        return await self._jobs.submit(submission)

    async def run(self, submission: Submission, *, timeout_s: float) -> Job:
        raise NotImplementedError

    async def cancel(self, job_id: str) -> Job:
        self.cancelled.append(job_id)
        return await self._jobs.cancel(job_id)


async def test_one_that_is_stopped_while_it_becomes_durable_does_not_run(
    make_context: MakeContext,
) -> None:
    context = make_context()
    runner, work = SlowToAccept(context.jobs), Endless()
    jobs = DirectJobs(runner, DirectTable(context.database))
    running = asyncio.create_task(jobs.run(submission("job-a"), work, timeout_s=0.05))
    await runner.is_asked.wait()
    jobs.cancel("job-a")
    runner.goes_on.set()
    with pytest.raises(Cancelled):
        await running
    # Whether it ends before it is stopped is a matter of luck.
    assert runner.cancelled == [(await context.job_store.get("job-a")).id]


async def _listed(client: httpx.AsyncClient) -> list[str]:
    answer = (await client.get("/v1/jobs")).json()
    assert answer["total"] == len(answer["data"])
    return [job["id"] for job in answer["data"] if job["status"] != "cancelled"]


async def test_what_is_not_written_yet_is_written_when_the_server_ends(
    make_context: MakeContext,
) -> None:
    app = create_app(make_context())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
    ):
        name = (await client.post("/v1/chat/completions", json=SAY)).headers["x-job-id"]
    async with client_of(make_context()) as client:
        assert (await client.get(f"/v1/jobs/{name}")).json()["status"] == "succeeded"


class Failing:
    """A family that answers nothing."""

    async def chat(self, request: object) -> AsyncIterator[object]:
        raise UpstreamError("the provider is confused")
        yield


@pytest.mark.parametrize(
    ("path", "body", "job"),
    [
        ("/v1/chat/completions", SAY, "/v1/jobs/"),
        ("/v1/chat/completions", SAY | {"stream": True}, "/v1/jobs/"),
        ("/lite/chat", {"turns": [{"by": "user", "says": "a"}], "engine": "echo"}, "/lite/tasks/"),
    ],
)
async def test_an_answer_that_failed_names_the_job_which_can_be_asked_for(
    make_context: MakeContext, path: str, body: dict[str, Any], job: str
) -> None:
    context = make_context(runs={"chat": Failing()})
    transport = httpx.ASGITransport(
        create_app(context, (*DIALECTS, LITE)), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        answer = await client.post(path, json=body)
        assert answer.status_code == 502
        # To try again may help, as before.
        assert "x-should-retry" not in answer.headers
        found = (await client.get(job + answer.headers["x-job-id"])).json()
        # What was refused before there was a job has no id.
        refused = await client.post(path, json=body | {"model": "nobody", "engine": "nobody"})
    assert refused.status_code == 404
    assert "x-job-id" not in refused.headers
    error = found.get("error") or found["problem"]
    assert "upstream_error" in (error.get("code"), error.get("reason"))


async def _still_running(work: Any) -> AppError:
    with pytest.raises(StillRunning) as caught:
        await work
    return caught.value
