"""Jobs of other dialects, read in the native one: nobody reads what another has kept with a job."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from serve_app.api.caller_jobs import failure, finished_result, in_dialect
from serve_app.api.context import Context
from serve_app.api.dialect import JOB, JOB_FIELDS
from serve_app.api.dialects import DIALECTS, dialect_of
from serve_app.core.audio.speech import Speak
from serve_app.core.error_fields import root_of
from serve_app.core.errors import AppError, InvalidRequest
from serve_app.core.jobs import Job, Submission, failure_of
from serve_app.core.operation import OPERATIONS
from serve_app.core.text.embeddings import Embed
from tests.api.conftest import MakeContext, client_of

V1 = DIALECTS[0]
FOREIGN = {"response_format": 5, "encoding_format": "hex", "n_iter": [1], "top_n": "x"}


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context()


@pytest.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        yield client


async def ended(context: Context, operation: Any, **fields: Any) -> Job:
    submission = Submission(id="job-1", operation=operation, owner="anonymous", **fields)
    return await context.jobs.run(submission, timeout_s=30)


@pytest.mark.parametrize(
    "operation", [Embed(model="digest", texts=("a",)), Speak(model="hum", text="a")]
)
async def test_jobs_of_another_dialect_are_listed_and_read(
    client: httpx.AsyncClient, context: Context, operation: Any
) -> None:
    job = await ended(context, operation, dialect="other", output=FOREIGN)
    assert job.status == "succeeded"
    listed = await client.get("/v1/jobs")
    assert listed.status_code == 200, listed.text
    one = await client.get("/v1/jobs/job-1")
    assert one.status_code == 200, one.text
    assert one.json()["result"]["data"]


async def test_a_job_keeps_the_dialect_that_it_was_asked_in(context: Context) -> None:
    job = await ended(context, Speak(model="hum", text="a"), dialect="other", output={"a": 1})
    kept = await context.job_store.get("job-1")
    assert (kept.dialect, kept.output) == (job.dialect, job.output) == ("other", {"a": 1})
    assert in_dialect(kept, V1).output == {}
    assert in_dialect(kept, replace(V1, name="other")).output == {"a": 1}
    # Nobody speaks it here: who is called back is told in the native one.
    assert dialect_of(kept) is V1
    assert dialect_of(kept.model_copy(update={"dialect": "admin"})).name == "admin"


async def test_a_failed_job_names_the_dialects_field(context: Context) -> None:
    job = await ended(context, Speak(model="hum", text="a"))
    failed = failure_of(InvalidRequest("nothing can be said", param="text"))
    job = job.model_copy(update={"failure": failed, "result": None, "status": "failed"})
    error = failure(job, V1)
    assert error is not None
    assert error.param == "input"
    with pytest.raises(AppError) as caught:
        finished_result(job, replace(V1, fields={}, is_native=False))
    assert (caught.value.param, caught.value.job_id) == (None, "job-1")


async def test_a_job_of_an_unknown_operation_is_shown_without_a_result(context: Context) -> None:
    job = await ended(context, Speak(model="hum", text="a"))
    failed = failure_of(InvalidRequest("another version's", param="part[2]"))
    job = job.model_copy(update={"operation_name": "audio.yet-to-come", "failure": failed})
    assert await V1.body(job, context.files) is None
    shown = in_dialect(job, V1).failure
    assert shown is not None
    assert shown.param == "part[2]"


@pytest.mark.parametrize(
    ("param", "own"),
    [
        ("text", "input"),
        ("text[2].x", "input[2].x"),
        ("voice", "voice"),
        ("input", "input"),
        ("callback_url", "callback_url"),
        (None, None),
    ],
)
def test_fields_of_the_core_have_the_native_names(param: str | None, own: str | None) -> None:
    assert V1.own_field(param, "audio.speech") == own


def test_what_another_dialect_has_no_name_for_is_not_named() -> None:
    other = replace(V1, fields={"audio.speech": {"text": "prompt"}}, is_native=False)
    assert other.own_field("text", "audio.speech") == "prompt"
    assert other.own_field("voice", "audio.speech") is None
    assert other.own_field("own_part[1]", "audio.speech") == "own_part[1]"


def test_every_listed_field_is_one_of_its_operation() -> None:
    for dialect in DIALECTS:
        for operation, fields in dialect.fields.items():
            known = JOB_FIELDS if operation == JOB else OPERATIONS[operation].known_fields()
            assert {root_of(field) for field in fields} <= set(known), operation
