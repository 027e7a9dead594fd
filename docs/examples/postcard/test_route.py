"""POST /v1/pipelines/postcard as a durable job over the shipped fakes."""

from typing import Any

import pytest

from serve_app.core.errors import Unavailable
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.api.test_jobs import ended, refused

URL = "/v1/pipelines/postcard"
PIPELINES = [{"name": "postcard"}]
CARD = {"prompt": "a red boat", "size": "64x64", "seed": 7}


def families(task: str, **options: Any) -> list[dict[str, Any]]:
    """The families, with other options for those of one task."""
    return [
        family | {"options": family["options"] | options}
        if family["options"]["task"] == task
        else family
        for family in FAMILIES
    ]


async def test_the_whole_answer(make_context: MakeContext) -> None:
    async with client_of(make_context(pipelines=PIPELINES)) as client:
        answer = await client.post(URL, json=CARD)
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == {"created", "data"}
        [item] = answer.json()["data"]
        assert set(item["caption"].split()) == {"a", "red", "boat"}
        for key, mime in (("url", "image/png"), ("audio_url", "audio/wav")):
            assert (await client.get(item[key])).headers["content-type"] == mime
        archive = (await client.get("/v1/archive?operation=pipeline.postcard")).json()
        assert archive["total"] == 2
        assert {entry["prompt"] for entry in archive["files"]} == {"a red boat"}


async def test_its_job_lists_every_stage(make_context: MakeContext) -> None:
    async with client_of(make_context(pipelines=PIPELINES)) as client:
        answer = await client.post(URL, json=CARD | {"ref_id": "card-1"})
        job = (await client.get("/v1/jobs/card-1")).json()
    assert job["status"] == "succeeded"
    assert job["operation"] == "pipeline.postcard"
    assert [stage["name"] for stage in job["stages"]] == ["caption", "image", "voice"]
    assert all(stage["seconds"] >= 0 for stage in job["stages"])
    assert job["progress"]["percent"] == 100
    assert job["result"] == answer.json()


async def test_a_voice_that_is_lost_is_a_warning(make_context: MakeContext) -> None:
    class Mute:
        def speak(self, request: object) -> object:
            raise Unavailable("the voice is lost")

    context = make_context(pipelines=PIPELINES, runs={"speech": Mute()})
    async with client_of(context) as client:
        body = (await client.post(URL, json=CARD | {"ref_id": "mute"})).json()
        job = (await client.get("/v1/jobs/mute")).json()
    assert body["warnings"] == ["stage 'voice': the voice is lost"]
    assert body["data"][0]["audio_url"] is None
    assert [stage["status"] for stage in job["stages"]] == ["succeeded", "succeeded", "failed"]


async def test_cancelling_stops_the_stage_under_way(make_context: MakeContext) -> None:
    context = make_context(pipelines=PIPELINES, families=families("images", delay_s=30))
    async with client_of(context) as client:
        answer = await client.post(URL, json=CARD, headers={"Prefer": "respond-async"})
        assert answer.status_code == 202
        job_id = answer.json()["id"]
        assert (await client.post(f"/v1/jobs/{job_id}/cancel")).status_code == 200
        job = await ended(client, job_id)
    assert job["status"] == "cancelled"


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"prompt": ""}, "prompt"), ({"size": "7x7"}, "size"), ({"seed": -1}, "seed")],
)
async def test_fields_have_rules(
    make_context: MakeContext, fields: dict[str, Any], param: str
) -> None:
    async with client_of(make_context(pipelines=PIPELINES)) as client:
        answer = await client.post(URL, json=CARD | fields)
    refused(answer, 400, "invalid_request", param)


async def test_it_has_to_be_configured(make_context: MakeContext) -> None:
    async with client_of(make_context()) as client:
        answer = await client.post(URL, json=CARD)
    refused(answer, 503, "backend_unavailable", None)
