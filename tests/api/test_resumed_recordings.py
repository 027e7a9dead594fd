"""Jobs that earlier builds began, and whose process was killed, are finished by this one.

Each recording is the SQLite database (as SQL) and the blobs that a build left behind when it was
killed; the build's commit is in its name. On Postgres the same rows are the same job.
"""

import asyncio
import sqlite3
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, Table, insert, select, text

from serve_app.api.context import Context
from serve_app.core.jobs import Job
from serve_app.database.connection import Database
from serve_app.database.copy import copy
from serve_app.database.migrate import migrate
from serve_app.jobs.executor import JobExecutor
from serve_app.jobs.workflows import Workflows
from tests.api.conftest import FAMILIES, MakeContext
from tests.servers import DatabaseServer

RECORDINGS = Path(__file__).parent / "recordings"
AUDIO = {
    "name": "noise",
    "options": {"engine": "fake", "task": "sound"},
    "models": [{"id": "noise", "created": 1}],
}


class Recording:
    """A recording opened by this build, with its rows in the database at `url` if there is one.
    `diary` is what its engines do.
    """

    def __init__(
        self, name: str, pipeline: str, folder: Path, make: MakeContext, *, url: str | None
    ) -> None:
        with zipfile.ZipFile(RECORDINGS / f"{name}.zip") as recording:
            recording.extractall(folder)
        with sqlite3.connect(folder / "polyphony.sqlite") as connection:
            connection.executescript((folder / "polyphony.sql").read_text())
        connection.close()
        self._recorded = Database(f"sqlite:///{folder / 'polyphony.sqlite'}")
        # As when a server starts: before its credentials are looked at.
        migrate(self._recorded)
        self._schema = None if url is None else "dbos"
        if url is not None:
            target = Database(url)
            copy(self._recorded, target)
            target.close()
        self._diary = folder / "diary"
        diary = {"diary": str(self._diary)}
        families = [
            family | {"options": family["options"] | diary} for family in (*FAMILIES, AUDIO)
        ]
        self.context: Context = make(
            families=families,
            pipelines=[{"name": pipeline}],
            # Its previews are made after the job, when the test may have ended.
            archive={"enabled": False},
            database_url=url,
        )
        assert isinstance(self.context.jobs, JobExecutor)
        self.jobs = self.context.jobs
        self.workflows = Workflows(
            self.context.database,
            application=f"polyphony-{pipeline}",
            executor="this build",
            perform=self.jobs.perform,
        )
        self.jobs.use(self.workflows)

    async def ended(self) -> Job:
        """The job, finished."""
        self.workflows.launch()
        if self._schema is not None:
            await self._bring_steps(self._schema)
        # As soon as its lease has run out.
        await self.context.job_store.release("recorder")
        [job_id] = await self._column("SELECT id FROM jobs")
        async with asyncio.timeout(60):
            while not (job := await self.context.job_store.get(job_id)).is_final:
                await self.jobs.maintain()
                await asyncio.sleep(0.05)
        return job

    async def change(self, statement: str) -> None:
        """Another record than the build has made."""
        await self.context.database.write(lambda session: session.execute(text(statement)))

    async def kinds_of_records(self) -> set[str]:
        """What DBOS calls the forms of the stages' records."""
        steps = "operation_outputs" if self._schema is None else f"{self._schema}.operation_outputs"
        return set(await self._column(f"SELECT serialization FROM {steps}"))

    def done(self) -> list[str]:
        """The verbs that engines of this build have done."""
        lines = [line.split() for line in self._diary.read_text().splitlines()]
        return [verb for verb, what, *_ in lines if what == "begins"]

    def close(self) -> None:
        """Stop DBOS's threads."""
        self.workflows.close()
        self._recorded.close()

    async def _bring_steps(self, schema: str) -> None:
        """What DBOS has recorded, into its tables in another database."""

        def bring(connection: Connection) -> None:
            with self._recorded.engine.connect() as recorded:
                for name in ("workflow_status", "workflow_input", "operation_outputs"):
                    old = Table(name, MetaData(), autoload_with=recorded)
                    new = Table(name, MetaData(), schema=schema, autoload_with=connection)
                    rows = [dict(row) for row in recorded.execute(select(old)).mappings()]
                    connection.execute(insert(new), rows)

        await self.context.database.write(lambda session: bring(session.connection()))

    async def _column(self, query: str) -> list[Any]:
        return await self.context.database.read(lambda s: list(s.scalars(text(query))))


Open = Callable[..., Recording]


@pytest.fixture
async def open_recording(tmp_path: Path, make_context: MakeContext) -> AsyncIterator[Open]:
    opened: list[Recording] = []

    def opening(name: str, pipeline: str, *, url: str | None = None) -> Recording:
        opened.append(Recording(name, pipeline, tmp_path, make_context, url=url))
        return opened[-1]

    yield opening
    for recording in opened:
        recording.close()


@pytest.mark.parametrize(
    ("name", "pipeline", "left"),
    [
        ("dub-6db840e", "video-dub", ["burn_subtitles"]),
        # This build recorded extracted audio as a Blob, without its warnings.
        ("dub-1bd9f2d", "video-dub", [*["speak"] * 6, "replace_audio", "burn_subtitles"]),
        ("story-6db840e", "story", ["assemble_video"]),
        ("video-6db840e", "video-generation", ["convert_to_stereo"]),
    ],
)
async def test_what_an_earlier_build_has_done_is_not_done_again(
    open_recording: Open, name: str, pipeline: str, left: list[str]
) -> None:
    recording = open_recording(name, pipeline)
    job = await recording.ended()
    assert job.status == "succeeded", job.failure
    assert recording.done() == left
    assert not [warning.text for warning in job.warnings if "left out" in warning.text]
    assert {stage.status for stage in job.stages} == {"succeeded"}
    assert await recording.kinds_of_records() == {"portable_json"}


@pytest.mark.parametrize(
    ("name", "pipeline", "left"),
    [
        ("dub-1bd9f2d", "video-dub", [*["speak"] * 6, "replace_audio", "burn_subtitles"]),
        ("video-6db840e", "video-generation", ["convert_to_stereo"]),
    ],
)
async def test_pickles_of_an_earlier_build_are_read_on_postgres(
    open_recording: Open, postgres: DatabaseServer, name: str, pipeline: str, left: list[str]
) -> None:
    recording = open_recording(name, pipeline, url=postgres.new_database("recording"))
    job = await recording.ended()
    assert job.status == "succeeded", job.failure
    assert recording.done() == left
    assert await recording.kinds_of_records() == {"portable_json"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("output = 'gAR9lC4='", id="cut off"),
        pytest.param("output = '\"{}\"', serialization = 'portable_json'", id="without a form"),
        pytest.param("function_name = 'sharpen'", id="a stage that is gone"),
    ],
)
async def test_a_stage_that_cannot_be_read_ends_the_job_in_words(
    open_recording: Open, change: str
) -> None:
    """Also one without which the video would go on."""
    recording = open_recording("video-6db840e", "video-generation")
    stage = "function_name = 'upscale'"
    await recording.change(f"UPDATE operation_outputs SET {change} WHERE {stage}")
    job = await recording.ended()
    assert job.status == "failed"
    assert job.failure is not None
    assert job.failure.message == (
        "stage 'upscale' was recorded by another version of this server and cannot be read; "
        "send the job again"
    )
    assert recording.done() == []
