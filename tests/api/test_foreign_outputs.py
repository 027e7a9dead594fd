"""Jobs of a dialect with another notion of an answer stand in the native one's lists."""

from typing import Any

import pytest
from pydantic import JsonValue

from serve_app.core.jobs import Submission
from serve_app.core.operation import Operation
from serve_app.core.text.embeddings import Embed
from serve_app.core.text.rerank import Rerank
from serve_app.jobs.direct import new_job_id
from tests.api.conftest import MakeContext, client_of

FOREIGN: dict[str, JsonValue] = {
    "response_format": ["png"],
    "top_n": "all",
    "encoding_format": "hex",
    "images": 1,
}


@pytest.mark.parametrize(
    "operation",
    [
        Embed(model="digest", texts=("a",)),
        Rerank(model="overlap", query="q", documents=("a", "b")),
    ],
)
async def test_an_unknown_output_breaks_no_list(
    make_context: MakeContext, operation: Operation[Any]
) -> None:
    context = make_context()
    for output in (FOREIGN, dict[str, JsonValue]()):
        submission = Submission(
            id=new_job_id(), operation=operation, owner="anonymous", output=output
        )
        await context.jobs.run(submission, timeout_s=20)
    async with client_of(context) as client:
        answer = await client.get("/v1/jobs")
    assert answer.status_code == 200
    first, second = answer.json()["data"]
    assert first["result"] is not None
    assert first["result"] == second["result"]
