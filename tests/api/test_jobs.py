"""Jobs over HTTP: asked for, waited for, watched, cancelled, found again, kept apart by owner."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from serve_app.database.schema import JobRow
from tests.api.conftest import FAMILIES, MakeContext, client_of

URL = "/v1/audio/speech"
TOKENS = {"API_TOKENS": "sk-one", "ADMIN_TOKEN": "sk-admin"}


def speech(text: str = "hello", **fields: object) -> dict[str, object]:
    return {"input": text, "response_format": "url", **fields}


def families(**speech_options: object) -> list[dict[str, Any]]:
    """The usual ones; the speech family, one job wide, with options."""
    slow = {
        "name": "speech",
        "options": {"engine": "fake", "task": "speech", **speech_options},
        "models": [{"id": "hum", "created": 1}],
        "placement": {"max_ongoing_requests": 1},
    }
    return [slow if family["name"] == "speech" else family for family in FAMILIES]


async def begin(client: httpx.AsyncClient, text: str = "hello", **fields: object) -> dict[str, Any]:
    answer = await client.post(URL, json=speech(text, **fields) | {"async": True})
    assert answer.status_code == 202, answer.text
    accepted: dict[str, Any] = answer.json()
    return accepted


async def job_of(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/jobs/{name}")
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


async def ended(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (job := await job_of(client, name))["status"] in ("queued", "running"):
            await asyncio.sleep(0.02)
    return job


def refused(answer: httpx.Response, status: int, code: str, param: str | None) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    return str(error["message"])


async def test_a_call_that_does_not_wait_is_told_where_its_job_is(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post(URL, json=speech(), headers={"Prefer": "respond-async, wait=5"})
    assert answer.status_code == 202
    body = answer.json()
    assert body == {"id": body["id"], "status": "running", "url": f"/v1/jobs/{body['id']}"}
    assert answer.headers["location"] == body["url"]
    assert answer.headers["x-job-id"] == body["id"]
    assert answer.headers["preference-applied"] == "respond-async"
    job = await ended(client, body["id"])
    assert job["status"] == "succeeded"
    audio = await client.get(job["result"]["data"][0]["url"])
    assert audio.headers["content-type"] == "audio/mpeg"


async def test_async_in_the_body_does_the_same(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json=speech() | {"async": True})
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    waited = await client.post(URL, json=speech() | {"async": False})
    assert "preference-applied" not in waited.headers


async def test_a_synchronous_media_call_is_a_job_too(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json=speech(tag="mine"))
    assert answer.status_code == 200
    job = await job_of(client, answer.headers["x-job-id"])
    assert job["result"] == answer.json()
    assert (job["tag"], job["operation"], job["model"]) == ("mine", "audio.speech", "hum")
    assert job["stages"][0]["name"] == "audio.speech"
    assert job["progress"]["percent"] == 100


async def test_a_job_has_every_documented_key(client: httpx.AsyncClient) -> None:
    job = await job_of(client, (await client.post(URL, json=speech())).headers["x-job-id"])
    assert {*job} == {
        *("id", "object", "number", "operation", "status", "created_at", "started_at"),
        *("finished_at", "model", "owner", "tag", "ref_id", "queue_position", "progress"),
        *("stages", "warnings", "result", "error", "url", "events_url", "cancel_url"),
    }
    assert {*job["progress"]} == {
        *("current", "total", "percent", "phase", "it_per_s", "eta_seconds")
    }
    assert isinstance(job["created_at"], int)
    assert job["owner"] == "anonymous"


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "a b"}], "max_tokens": 9, "logprobs": True},
            "choices",
        ),
        ("/v1/completions", {"prompt": ["a b", "c"], "max_tokens": 9}, "choices"),
        ("/v1/embeddings", {"model": "digest", "input": "x", "encoding_format": "base64"}, "data"),
        (
            "/v1/rerank",
            {"model": "overlap", "query": "a", "documents": ["b", "a"], "return_documents": True},
            "results",
        ),
    ],
)
async def test_text_as_a_job_gives_what_it_gives_at_once(
    client: httpx.AsyncClient, path: str, body: dict[str, object], key: str
) -> None:
    at_once = await client.post(path, json=body)
    assert at_once.status_code == 200, at_once.text
    assert at_once.headers["x-job-id"].startswith("job-")
    accepted = await client.post(path, json=body, headers={"Prefer": "respond-async"})
    assert accepted.status_code == 202, accepted.text
    job = await ended(client, accepted.json()["id"])
    assert job["result"][key] == at_once.json()[key]
    assert (await job_of(client, job["id"]))["result"] == job["result"]


async def test_a_transcript_as_a_job_keeps_its_form(client: httpx.AsyncClient) -> None:
    audio = (await client.post(URL, json={"input": "x", "response_format": "wav"})).content
    form = {"model": "whisper-base", "response_format": "srt"}
    files = {"file": ("a.wav", audio)}
    at_once = await client.post("/v1/audio/transcriptions", data=form, files=files)
    accepted = await client.post(
        "/v1/audio/transcriptions", data=form | {"async": "true"}, files=files
    )
    assert accepted.status_code == 202, accepted.text
    assert (await ended(client, accepted.json()["id"]))["result"] == at_once.text


async def test_a_stream_cannot_be_a_job(client: httpx.AsyncClient) -> None:
    body = {"messages": [{"role": "user", "content": "a"}], "stream": True, "ref_id": "mine"}
    refused(await client.post("/v1/chat/completions", json=body), 400, "invalid_request", "ref_id")
    raw = {"input": "a", "response_format": "pcm", "ref_id": "mine"}
    answer = await client.post(f"{URL}/stream", json=raw)
    refused(answer, 400, "invalid_request", "ref_id")


async def test_a_job_goes_by_its_id_its_number_and_its_ref_id(client: httpx.AsyncClient) -> None:
    accepted = await begin(client, ref_id="take-1.a:b_c")
    job = await ended(client, "take-1.a:b_c")
    assert job["id"] == accepted["id"]
    assert (await job_of(client, str(job["number"])))["id"] == job["id"]
    again = await client.post(URL, json=speech(ref_id="take-1.a:b_c"))
    assert "take-1.a:b_c" in refused(again, 409, "conflict", "ref_id")


@pytest.mark.parametrize(
    "ref_id",
    [
        *("", "a b", "ä", "../x", "x" * 129, "a\n", 5),
        *("1", "007", "9" * 128, "job-1", "job-", "JOB-0a1b", "Job-x"),
    ],
)
@pytest.mark.parametrize("field", ["ref_id", "refId"])
async def test_a_ref_id_has_rules(client: httpx.AsyncClient, field: str, ref_id: object) -> None:
    answer = await client.post(URL, json=speech(**{field: ref_id}))
    refused(answer, 400, "invalid_request", field)
    assert (await client.get("/v1/jobs")).json()["total"] == 0


@pytest.mark.parametrize("ref_id", ["1.0", "-1", "1:2", "x1", "jobs-1", "my-job-1", "job_1", "job"])
async def test_a_ref_id_may_hold_digits_and_the_word_job(
    client: httpx.AsyncClient, ref_id: str
) -> None:
    made = await client.post(URL, json=speech(ref_id=ref_id))
    assert made.status_code == 200, made.text
    assert (await job_of(client, ref_id))["id"] == made.headers["x-job-id"]


async def test_an_admin_who_names_a_number_or_a_shared_name_hits_no_other_job(
    make_context: MakeContext,
) -> None:
    """Names of digits alone are still there from earlier versions."""
    context = make_context(families=families(delay_s=30), environment=TOKENS)
    one, admin = [{"Authorization": f"Bearer {token}"} for token in ("sk-one", "sk-admin")]
    async with client_of(context) as client:
        ids = [
            (
                await client.post(URL, json=speech(tag, ref_id=name) | {"async": True}, headers=by)
            ).json()["id"]
            for tag, name, by in (("a", "first", {}), ("b", "take", one), ("c", "take", {}))
        ]

        def name_as_before(session: Any) -> None:
            session.scalar(select(JobRow).where(JobRow.id == ids[1])).ref_id = "1"

        await context.database.write(name_as_before)
        assert (await client.get("/v1/jobs/1", headers=one)).json()["id"] == ids[1]
        cancelled = await client.post("/v1/jobs/1/cancel", headers=admin)
        assert cancelled.json()["id"] == ids[0]

        def share_a_name(session: Any) -> None:
            row = session.scalar(select(JobRow).where(JobRow.id == ids[1]))
            row.ref_id, row.owner = "take", "somebody"

        await context.database.write(share_a_name)
        answer = await client.post("/v1/jobs/take/cancel", headers=admin)
        message = refused(answer, 409, "conflict", "id")
        assert ids[1] in message
        assert ids[2] in message
        own = speech("d", ref_id="take") | {"async": True}
        mine = (await client.post(URL, json=own, headers=admin)).json()["id"]
        assert (await client.get("/v1/jobs/take", headers=admin)).json()["id"] == mine
        for job_id in (*ids[1:], mine):
            await client.post(f"/v1/jobs/{job_id}/cancel", headers=admin)


async def test_jobs_start_in_order_higher_priorities_first(make_context: MakeContext) -> None:
    context = make_context(families=families(delay_s=0.1))
    async with client_of(context) as client:
        order = [("first", 0), ("second", 0), ("third", 0), ("urgent", 5), ("last", -5)]
        ids = [(await begin(client, text, priority=p))["id"] for text, p in order]
        waiting = [await job_of(client, job_id) for job_id in ids]
        assert [job["queue_position"] for job in waiting] == [None, 2, 3, 1, 4]
        jobs = [await ended(client, job_id) for job_id in ids]
        reader = [await context.job_store.get(job["id"]) for job in jobs]
        started = sorted(reader, key=lambda job: job.started_at or 0)
        assert [getattr(job.operation, "text", "") for job in started] == [
            *("first", "urgent", "second", "third", "last")
        ]


async def test_a_full_queue_is_a_clean_refusal(make_context: MakeContext) -> None:
    limits = {"max_pending": 2}
    async with client_of(make_context(families=families(delay_s=0.3), limits=limits)) as client:
        ids = [(await begin(client, f"{n}"))["id"] for n in range(3)]
        answer = await client.post(URL, json=speech() | {"async": True})
        refused(answer, 503, "queue_full", None)
        assert int(answer.headers["retry-after"]) >= 1
        assert [(await ended(client, i))["status"] for i in ids] == ["succeeded"] * 3


async def test_cancelling_stops_a_running_job_and_a_waiting_one(make_context: MakeContext) -> None:
    async with client_of(make_context(families=families(delay_s=30))) as client:
        running, waiting = [(await begin(client, f"{n}"))["id"] for n in range(2)]
        answer = await client.post(f"/v1/jobs/{waiting}/cancel")
        assert answer.status_code == 200
        assert answer.json()["status"] == "cancelled"
        assert (await client.post(f"/v1/jobs/{running}/cancel")).status_code == 200
        job = await ended(client, running)
        assert job["status"] == "cancelled"
        assert job["error"]["code"] == "cancelled"
        again = await client.post(f"/v1/jobs/{running}/cancel")
        refused(again, 409, "conflict", None)


async def test_many_who_cancel_a_job_at_once_have_one_outcome(make_context: MakeContext) -> None:
    async with client_of(make_context(families=families(delay_s=0.05))) as client:
        for _ in range(5):
            job_id = (await begin(client))["id"]
            await asyncio.sleep(0.04)
            answers = await asyncio.gather(
                *(client.post(f"/v1/jobs/{job_id}/cancel") for _ in range(6))
            )
            assert {answer.status_code for answer in answers} <= {200, 409}
            job = await ended(client, job_id)
            assert job["status"] in ("succeeded", "cancelled")
            assert (job["result"] is None) == (job["status"] == "cancelled")
            await asyncio.sleep(0.1)
            assert await job_of(client, job_id) == job


async def test_a_job_that_takes_too_long_for_its_caller_goes_on(make_context: MakeContext) -> None:
    sections = {"families": families(delay_s=0.5), "jobs": {"sync_timeout_s": {"v1": 0.1}}}
    async with client_of(make_context(**sections)) as client:
        answer = await client.post(URL, json=speech())
        refused(answer, 504, "timeout", None)
        assert answer.headers["x-should-retry"] == "false"
        job_id = answer.json()["error"]["job_id"]
        assert (await ended(client, job_id))["status"] == "succeeded"


async def test_text_that_takes_too_long_becomes_a_job(make_context: MakeContext) -> None:
    slow = [
        family | {"options": {"engine": "fake", "task": "chat", "tokens_per_s": 4}}
        if family["name"] == "chat"
        else family
        for family in FAMILIES
    ]
    sections = {"families": slow, "jobs": {"sync_timeout_s": {"v1": 0.2}}}
    body = {"messages": [{"role": "user", "content": "one two three"}]}
    async with client_of(make_context(**sections)) as client:
        answer = await client.post("/v1/chat/completions", json=body)
        assert answer.status_code == 504
        job = await ended(client, answer.json()["error"]["job_id"])
        assert job["result"]["choices"][0]["message"]["content"] == "one two three"


@pytest.mark.parametrize("breakage", ["timeout", "cancelled", "error"])
async def test_a_time_out_of_the_engine_is_not_the_callers_limit(
    make_context: MakeContext, breakage: str
) -> None:
    brittle = [
        family | {"options": {**family["options"], "breaks_with": breakage}} for family in FAMILIES
    ]
    body = {"messages": [{"role": "user", "content": "word"}]}
    async with client_of(make_context(families=brittle)) as client:
        for fields in ({}, {"stream": True}):
            answer = await client.post("/v1/chat/completions", json=body | fields)
            last = answer.text.strip().split("\n\n")[-1].removeprefix("data: ")
            assert json.loads(last)["error"]["code"] == "internal_error"
        refused(await client.post(URL, json=speech()), 500, "internal_error", None)
        jobs = (await client.get("/v1/jobs")).json()["data"]
        assert [(job["operation"], job["status"]) for job in jobs] == [("audio.speech", "failed")]


async def test_text_under_way_is_listed_and_can_be_cancelled(make_context: MakeContext) -> None:
    slow = [
        family | {"options": {"engine": "fake", "task": "chat", "tokens_per_s": 1}}
        if family["name"] == "chat"
        else family
        for family in FAMILIES
    ]
    body = {"messages": [{"role": "user", "content": "word " * 60}], "tag": "slow"}
    async with client_of(make_context(families=slow)) as client:
        calling = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        await asyncio.sleep(0.2)
        (listed,) = (await client.get("/v1/jobs", params={"tag": "slow"})).json()["data"]
        assert (listed["operation"], listed["status"]) == ("chat", "running")
        cancelled = await client.post(f"/v1/jobs/{listed['id']}/cancel")
        assert cancelled.json()["status"] == "cancelled"
        refused(await calling, 499, "cancelled", None)
        assert (await job_of(client, listed["id"]))["status"] == "cancelled"


async def test_a_stream_is_a_job_while_it_lasts(make_context: MakeContext) -> None:
    slow = [
        family | {"options": {"engine": "fake", "task": "chat", "tokens_per_s": 20}}
        if family["name"] == "chat"
        else family
        for family in FAMILIES
    ]
    body = {"messages": [{"role": "user", "content": "word " * 60}], "tag": "slow", "stream": True}
    async with client_of(make_context(families=slow)) as client:
        calling = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        await asyncio.sleep(0.5)
        (listed,) = (await client.get("/v1/jobs", params={"tag": "slow"})).json()["data"]
        assert (await client.post(f"/v1/jobs/{listed['id']}/cancel")).status_code == 200
        answer = await calling
        assert answer.headers["x-job-id"] == listed["id"]
        last = answer.text.strip().split("\n\n")[-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "cancelled"
        assert (await client.get("/v1/jobs", params={"tag": "slow"})).json()["total"] == 0


async def test_a_failed_job_says_why_and_is_not_tried_again(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json=speech(voice="nobody", ref_id="bad"))
    message = refused(answer, 400, "invalid_request", "voice")
    job = await job_of(client, "bad")
    assert answer.headers["x-job-id"] == job["id"]
    assert job["status"] == "failed"
    assert job["error"]["message"] == message
    (stage,) = job["stages"]
    assert (stage["name"], stage["status"]) == ("audio.speech", "failed")
    assert min(stage["seconds"], stage["device_seconds"]) >= 0


async def test_lists_are_filtered_and_paged(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await client.post(URL, json=speech(f"{number}", tag="even" if number % 2 == 0 else "odd"))
    await client.post(URL, json=speech(voice="nobody"))

    async def listed(**params: object) -> dict[str, Any]:
        answer = await client.get("/v1/jobs", params=params)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    page = await listed(limit=2, offset=1, status="succeeded")
    assert (page["total"], page["limit"], page["offset"], page["object"]) == (5, 2, 1, "list")
    assert [job["number"] for job in page["data"]] == [4, 3]
    assert (await listed(tag="even"))["total"] == 3
    assert (await listed(status="failed"))["total"] == 1
    assert (await listed(operation="chat"))["total"] == 0
    assert (await listed(tag="' OR 1=1 --"))["total"] == 0


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=501", "limit"), ("offset=-1", "offset"), ("status=x", "status")],
)
async def test_filters_have_rules(client: httpx.AsyncClient, query: str, param: str) -> None:
    refused(await client.get(f"/v1/jobs?{query}"), 400, "invalid_request", param)


@pytest.mark.parametrize("name", ["job-nothing", "999999", "1' OR '1'='1", "%00", "x" * 10_000])
@pytest.mark.parametrize("verb", ["", "/events", "/cancel"])
async def test_unknown_jobs_are_not_found(client: httpx.AsyncClient, name: str, verb: str) -> None:
    method = "POST" if verb == "/cancel" else "GET"
    refused(await client.request(method, f"/v1/jobs/{name}{verb}"), 404, "not_found", "id")


async def test_anothers_job_is_as_unknown_as_none(make_context: MakeContext) -> None:
    context = make_context(auth={"required": False}, environment=TOKENS)
    one, admin = [{"Authorization": f"Bearer {token}"} for token in ("sk-one", "sk-admin")]
    async with client_of(context) as client:
        made = await client.post(URL, json=speech(ref_id="r"), headers=one)
        job_id = made.headers["x-job-id"]
        assert (await client.get(f"/v1/jobs/{job_id}", headers=one)).status_code == 200
        assert (await client.get(f"/v1/jobs/{job_id}", headers=admin)).status_code == 200
        for name in (job_id, "r", "1"):
            others = await client.get(f"/v1/jobs/{name}")
            none = await client.get(f"/v1/jobs/{name}x")
            assert others.status_code == none.status_code == 404
            assert others.json()["error"]["message"] == (
                none.json()["error"]["message"].replace(f"{name}x", name)
            )
        assert (await client.get("/v1/jobs")).json()["total"] == 0
        assert (await client.post(URL, json=speech(ref_id="r"))).status_code == 200


def frames(text: str) -> list[tuple[str, int, dict[str, Any]]]:
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((fields["event"], int(fields["id"]), json.loads(fields["data"])))
    return found


async def test_events_tell_a_job_from_its_start_to_its_end(make_context: MakeContext) -> None:
    async with client_of(make_context(families=families(delay_s=0.6))) as client:
        ids = [(await begin(client, f"{n}"))["id"] for n in range(2)]
        answer = await client.get(f"/v1/jobs/{ids[1]}/events")
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        events = frames(answer.text)
        states = [data["status"] for name, _, data in events if name == "status"]
        assert states == ["queued", "running", "succeeded"]
        assert {name for name, _, _ in events} == {"status", "progress", "done"}
        numbers = [number for _, number, _ in events]
        assert numbers == sorted(set(numbers))
        assert events[-1] == ("done", numbers[-1], await job_of(client, ids[1]))


async def test_who_comes_back_with_the_last_id_sees_nothing_twice(
    client: httpx.AsyncClient,
) -> None:
    job_id = (await client.post(URL, json=speech())).headers["x-job-id"]
    events = frames((await client.get(f"/v1/jobs/{job_id}/events")).text)
    assert [name for name, _, _ in events] == ["status", "progress", "done"]
    for place, (_, last, _) in enumerate(events):
        again = await client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": f"{last}"})
        assert frames(again.text) == (events[place + 1 :] or events[-1:])
    odd = await client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "x"})
    assert frames(odd.text) == events


async def test_the_progress_of_a_medium(make_context: MakeContext) -> None:
    async with client_of(make_context(families=families(delay_s=0.5))) as client:
        idle = (await client.get("/v1/audio/progress")).json()
        assert idle["active"] is False
        assert (idle["current"], idle["total"], idle["pct"]) == (0, 0, 0)
        job_id = (await begin(client))["id"]
        await asyncio.sleep(0.2)
        active = (await client.get("/v1/audio/progress")).json()
        assert (active["active"], active["job_id"], active["model"]) == (True, job_id, "hum")
        assert {*active} == {*idle}
        assert (await client.get("/v1/video/progress")).json() == idle
        assert (await client.get("/v1/images/progress")).json() == idle
        await ended(client, job_id)
        assert (await client.get("/v1/audio/progress")).json() == idle


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:9/x", "http://localhost/x", "http://10.0.0.1/", "http://[::1]/"),
        *("http://169.254.169.254/latest", "file:///etc/passwd", "ftp://example.com/", "nonsense"),
        *("http://user:secret@example.com/", ""),
    ],
)
async def test_a_callback_goes_to_public_addresses_only(
    client: httpx.AsyncClient, url: str
) -> None:
    answer = await client.post(URL, json=speech(callback_url=url))
    refused(answer, 400, "invalid_request", "callback_url")
    assert (await client.get("/v1/jobs")).json()["total"] == 0


@pytest.mark.usefixtures("small_disk")
async def test_a_full_disk_fails_what_does_not_fit_and_nothing_else(
    make_context: MakeContext,
) -> None:
    """Two minutes of uncompressed audio are 5 MiB; the disk has two."""
    async with client_of(make_context()) as client:
        before = await client.post(URL, json=speech("short"))
        long = speech("word " * 480, response_format="b64_wav", ref_id="long")
        answer = await client.post(URL, json=long)
        assert "full" in refused(answer, 503, "backend_unavailable", None)
        assert answer.headers["x-should-retry"] == "false"
        job = await job_of(client, "long")
        assert (job["status"], job["result"]) == ("failed", None)
        assert "full" in job["error"]["message"]
        upload = {"content": b"RIFF\x24\0\0\0WAVEfmt " + bytes(4 * 1024**2)}
        refused(
            await client.post("/v1/files/upload", **upload),  # type: ignore[arg-type]
            *(503, "backend_unavailable", None),
        )
        after = await client.post(URL, json=speech("short again"))
        for made in (before, after):
            assert made.status_code == 200, made.text
            assert (await client.get(made.json()["data"][0]["url"])).status_code == 200


async def test_pages_show_every_job_once_while_texts_are_written(
    make_context: MakeContext,
) -> None:
    slow = {"engine": "fake", "task": "chat", "tokens_per_s": 1}
    listed = [f | {"options": slow} if f["name"] == "chat" else f for f in FAMILIES]
    async with client_of(make_context(families=listed)) as client:
        for _ in range(3):
            await client.post(URL, json=speech())
        body = {"messages": [{"role": "user", "content": "word " * 60}]}
        texts = [
            asyncio.create_task(client.post("/v1/chat/completions", json=body)) for _ in range(2)
        ]
        async with asyncio.timeout(60):
            while (await client.get("/v1/jobs")).json()["total"] < 5:
                await asyncio.sleep(0.02)
        for limit in (1, 2, 3, 5):
            pages = [
                (await client.get("/v1/jobs", params={"limit": limit, "offset": offset})).json()
                for offset in range(0, 6, limit)
            ]
            assert {page["total"] for page in pages} == {5}
            ids = [job["id"] for page in pages for job in page["data"]]
            assert len(ids) == len(set(ids)) == 5
            assert all(len(page["data"]) <= limit for page in pages)
        for text in texts:
            text.cancel()
        await asyncio.gather(*texts, return_exceptions=True)


async def test_jobs_of_another_version_are_listed_all_the_same(make_context: MakeContext) -> None:
    context = make_context()
    async with client_of(context) as client:
        names = [(await begin(client, text))["id"] for text in ("one", "two")]
        for name in names:
            await ended(client, name)

        def rename_fields(session: Any) -> None:
            row = session.scalar(select(JobRow).where(JobRow.id == names[0]))
            row.request = row.request | {"tempo": 1}
            row.result = row.result | {"loudness": 1}

        await context.database.write(rename_fields)
        listing = (await client.get("/v1/jobs")).json()["data"]
        assert {job["id"] for job in listing} == {*names}
        job = await job_of(client, names[0])
        assert (job["status"], job["result"]) == ("succeeded", None)
        assert any("another version" in warning for warning in job["warnings"])
        archived = (await client.get("/v1/archive")).json()["files"]
        assert names[0] in {file["job_id"] for file in archived}
