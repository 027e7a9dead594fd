"""The id of an answer that was no durable job can still be asked for when the answer is whole."""

import base64
from typing import Any

import httpx
import pytest

from serve_app.core.errors import UpstreamError
from serve_app.core.jobs import Submission
from serve_app.core.text.embeddings import Embed
from serve_app.jobs.direct import DirectJobs
from serve_app.jobs.direct_table import DirectTable
from tests.api.conftest import MakeContext, client_of
from tests.material import silence, wav

SAY = {"messages": [{"role": "user", "content": "hello"}], "model": "echo"}
AUDIO = base64.b64encode(wav(silence(0.1))).decode()
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", SAY),
    ("/v1/chat/completions", SAY | {"stream": True}),
    ("/v1/completions", {"model": "echo", "prompt": "hello"}),
    ("/v1/completions", {"model": "echo", "prompt": "hello", "stream": True}),
    ("/v1/embeddings", {"model": "digest", "input": "hello"}),
    ("/v1/rerank", {"model": "overlap", "query": "a", "documents": ["a", "b"]}),
    ("/v1/audio/speech", {"model": "hum", "input": "hello"}),
    ("/v1/audio/speech/stream", {"model": "hum", "input": "hello"}),
    ("/v1/audio/transcriptions", {"file": AUDIO, "stream": True}),
]


@pytest.mark.parametrize(("path", "body"), ASKED)
async def test_an_id_that_was_given_is_known(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    name = answer.headers["x-job-id"]
    found = await client.get(f"/v1/jobs/{name}")
    assert found.status_code == 200, found.text
    job = found.json()
    assert (job["id"], job["status"], job["error"]) == (name, "succeeded", None)
    assert job["finished_at"] >= job["started_at"]
    # It is no job that anybody waits for, nor one to stop.
    assert (await client.get("/v1/jobs")).json()["total"] == 0
    assert (await client.post(f"/v1/jobs/{name}/cancel")).status_code == 409
    events = await client.get(f"/v1/jobs/{name}/events")
    assert "event: done" in events.text


async def test_one_that_failed_says_so(make_context: MakeContext) -> None:
    context = make_context()

    async def failing() -> None:
        raise UpstreamError("the provider is confused", param="texts")

    submission = Submission(
        id="job-a", operation=Embed(model="digest", texts=("a",)), owner="anonymous"
    )
    with pytest.raises(UpstreamError):
        await context.direct_jobs.run(submission, failing, timeout_s=10)
    async with client_of(context) as client:
        job = (await client.get("/v1/jobs/job-a")).json()
    assert (job["status"], job["operation"], job["model"]) == ("failed", "embed", "digest")
    assert job["error"]["code"] == "upstream_error"


async def test_only_the_owner_and_only_the_newest_are_told(make_context: MakeContext) -> None:
    async def nothing() -> None:
        return None

    context = make_context()
    jobs = DirectJobs(context.jobs, DirectTable(context.database), remembered=2)
    for number in range(3):
        submission = Submission(
            id=f"job-{number}", operation=Embed(model="digest", texts=("a",)), owner="ann"
        )
        await jobs.run(submission, nothing, timeout_s=10)
    assert jobs.find("job-0", owner=None) is None
    assert jobs.find("job-1", owner="ben") is None
    for name in ("job-1", "job-2"):
        found = jobs.find(name, owner="ann")
        assert found is not None
        assert found.status == "succeeded"
    assert jobs.all(owner=None) == []
