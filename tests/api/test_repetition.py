"""Calls that are made again, by SDKs and by callers with a key: they join the job of the first."""

import asyncio
import base64
from typing import Any

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of
from tests.api.test_jobs import TOKENS, URL, ended, families, job_of, refused, speech
from tests.images import png

FIRST, AGAIN = {"x-stainless-retry-count": "0"}, {"x-stainless-retry-count": "1"}
SLOW = families(delay_s=0.5)


def key(name: str = "k-1") -> dict[str, str]:
    return {"Idempotency-Key": name}


async def count(client: httpx.AsyncClient) -> int:
    return int((await client.get("/v1/jobs")).json()["total"])


async def left(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
    """The id of a job whose caller leaves while it runs."""
    calling = asyncio.create_task(client.post(URL, json=speech(ref_id="take"), headers=headers))
    async with asyncio.timeout(60):
        while (answer := await client.get("/v1/jobs/take")).status_code != 200:
            await asyncio.sleep(0.01)
    calling.cancel()
    await asyncio.wait((calling,))
    return str(answer.json()["id"])


@pytest.mark.parametrize("headers", [FIRST, key(), FIRST | key()])
async def test_a_call_that_comes_back_finds_its_job_running(
    make_context: MakeContext, headers: dict[str, str]
) -> None:
    async with client_of(make_context(families=SLOW)) as client:
        job_id = await left(client, headers)
        again = await client.post(URL, json=speech(ref_id="take"), headers=headers | AGAIN)
        assert again.status_code == 200, again.text
        assert again.headers["x-job-id"] == job_id
        job = await job_of(client, "take")
        assert (job["id"], job["result"]) == (job_id, again.json())
        assert await count(client) == 1


async def test_a_call_that_does_not_say_that_it_may_come_back_is_stopped_and_begun_anew(
    make_context: MakeContext,
) -> None:
    async with client_of(make_context(families=SLOW)) as client:
        first = await left(client, {})
        again = await client.post(URL, json=speech(ref_id="take"), headers=AGAIN)
        assert again.status_code == 200, again.text
        assert (await ended(client, first))["status"] == "cancelled"
        assert (await job_of(client, first))["ref_id"] is None
        assert (await job_of(client, "take"))["id"] == again.headers["x-job-id"] != first


@pytest.mark.parametrize("names", [{"ref_id": "take"}, {}])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_repetition_of_an_ended_call_is_told_the_same(
    client: httpx.AsyncClient, names: dict[str, str], is_async: bool
) -> None:
    body = speech(**names) | {"async": is_async}
    headers = AGAIN if names else key()
    first = await client.post(URL, json=body, headers=headers | FIRST)
    job_id = first.headers["x-job-id"]
    await ended(client, job_id)
    again = await client.post(URL, json=body, headers=headers)
    assert again.status_code == first.status_code == (202 if is_async else 200)
    assert again.headers["x-job-id"] == job_id
    if is_async:
        assert again.json() == first.json() | {"status": "succeeded"}
        assert again.headers["location"] == first.headers["location"]
    else:
        assert again.json() == first.json()
    assert await count(client) == 1


@pytest.mark.parametrize(
    "headers",
    [{}, FIRST, key(), *({"x-stainless-retry-count": c} for c in ("00", "", "x", "-1", "1.5"))],
)
async def test_a_second_call_of_a_name_is_a_conflict(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await client.post(URL, json=speech(ref_id="take"))).status_code == 200
    answer = await client.post(URL, json=speech(ref_id="take"), headers=headers)
    refused(answer, 409, "conflict", "ref_id")
    assert answer.headers["x-should-retry"] == "false"
    assert await count(client) == 1


async def test_what_differs_is_no_repetition(client: httpx.AsyncClient) -> None:
    headers = AGAIN | key()
    assert (await client.post(URL, json=speech(ref_id="take"), headers=headers)).status_code == 200
    for changed in (speech("else", ref_id="take"), speech(ref_id="take", tag="t"), speech()):
        answer = await client.post(URL, json=changed, headers=headers)
        assert "'k-1'" in refused(answer, 409, "conflict", "Idempotency-Key")
    answer = await client.post(URL, json=speech("else", ref_id="take"), headers=AGAIN)
    refused(answer, 409, "conflict", "ref_id")
    chat = {"messages": [{"role": "user", "content": "a"}]}
    answer = await client.post("/v1/chat/completions", json=chat, headers=key())
    refused(answer, 409, "conflict", "Idempotency-Key")
    assert await count(client) == 1


async def test_keys_are_their_owners(make_context: MakeContext) -> None:
    async with client_of(make_context(environment=TOKENS)) as client:
        one = {"Authorization": "Bearer sk-one"}
        mine = await client.post(URL, json=speech(), headers=key())
        other = await client.post(URL, json=speech("else"), headers=key() | one)
        assert mine.status_code == other.status_code == 200
        assert mine.headers["x-job-id"] != other.headers["x-job-id"]


@pytest.mark.parametrize("name", ["", "x" * 256, "ä", "a\tb"])
async def test_a_key_has_rules(client: httpx.AsyncClient, name: str) -> None:
    headers = [(b"Idempotency-Key", name.encode())]
    answer = await client.post(URL, json=speech(), headers=headers)  # type: ignore[arg-type]
    refused(answer, 400, "invalid_request", "Idempotency-Key")
    assert await count(client) == 0


async def test_a_key_may_be_long(client: httpx.AsyncClient) -> None:
    ids = {
        (await client.post(URL, json=speech(), headers=key('"' + "~ " * 127))).headers["x-job-id"]
        for _ in range(2)
    }
    assert len(ids) == 1


CHAT = {"messages": [{"role": "user", "content": "a b c"}]}
IMAGE = {"prompt": "a boat", "image_size": "64x64"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/embeddings", {"model": "digest", "input": "x"}),
        ("/v1/images/generations", IMAGE),
        (URL, {"input": "raw audio"}),
    ],
)
async def test_any_operation_with_a_key_is_done_once(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    """Also what is else kept in memory, and what the server draws a seed for."""
    answers = [await client.post(path, json=body, headers=key()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert answers[0].content == answers[1].content
    assert answers[0].headers["x-job-id"] == answers[1].headers["x-job-id"]
    assert await count(client) == 1


async def test_forms_are_compared_by_what_they_hold(client: httpx.AsyncClient) -> None:
    async def edited(image: bytes, prompt: str = "a boat") -> httpx.Response:
        return await client.post(
            "/v1/images/edits",
            data={"prompt": prompt, "ref_id": "edit"},
            files={"image": ("a.png", image)},
            headers=AGAIN,
        )

    one, other = png("red", (64, 64)), png("blue", (64, 64))
    first, again = await edited(one), await edited(one)
    assert first.status_code == again.status_code == 200, first.text
    assert first.request.headers["content-type"] != again.request.headers["content-type"]
    assert first.json() == again.json()
    refused(await edited(other), 409, "conflict", "ref_id")
    refused(await edited(one, "a ship"), 409, "conflict", "ref_id")


async def test_an_audio_in_a_form_is_part_of_the_call(client: httpx.AsyncClient) -> None:
    async def heard(text: str) -> httpx.Response:
        audio = (await client.post(URL, json={"input": text, "response_format": "wav"})).content
        return await client.post(
            "/v1/audio/transcriptions",
            data={"model": "whisper-base"},
            files={"file": ("a.wav", audio)},
            headers=key(),
        )

    first, again = await heard("one"), await heard("one")
    assert first.status_code == again.status_code == 200, first.text
    assert first.headers["x-job-id"] == again.headers["x-job-id"]
    refused(await heard("one and two"), 409, "conflict", "Idempotency-Key")


async def test_who_repeats_a_call_that_failed_is_told_why(client: httpx.AsyncClient) -> None:
    wrong = speech(voice="nobody", ref_id="bad")
    answers = [await client.post(URL, json=wrong, headers=AGAIN) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    refused(answers[1], 400, "invalid_request", "voice")
    assert answers[0].headers["x-job-id"] == answers[1].headers["x-job-id"]


async def test_a_call_that_somebody_cancelled_stays_so(make_context: MakeContext) -> None:
    async with client_of(make_context(families=families(delay_s=30))) as client:
        body = speech(ref_id="take") | {"async": True}
        job_id = (await client.post(URL, json=body, headers=key())).headers["x-job-id"]
        await client.post(f"/v1/jobs/{job_id}/cancel")
        assert (await ended(client, job_id))["status"] == "cancelled"
        again = await client.post(URL, json=body, headers=key())
        assert again.json() == {"id": job_id, "status": "cancelled", "url": f"/v1/jobs/{job_id}"}


async def test_a_key_is_free_when_its_job_is_forgotten(make_context: MakeContext) -> None:
    context = make_context()
    async with client_of(context) as client:
        first = await client.post(URL, json=speech(), headers=key())
        await context.job_store.delete(first.headers["x-job-id"])
        other = await client.post(URL, json=speech("else"), headers=key())
        assert other.status_code == 200, other.text


@pytest.mark.parametrize("names", [{"ref_id": "take"}, {}])
async def test_many_repetitions_at_once_at_two_replicas_are_one_job(
    make_context: MakeContext, names: dict[str, str]
) -> None:
    contexts = [make_context(), make_context()]
    headers = AGAIN if names else key()
    async with client_of(contexts[0]) as one, client_of(contexts[1]) as other:
        answers = await asyncio.gather(
            *(
                client.post(URL, json=speech(**names), headers=headers)
                for client in (one, other) * 4
            )
        )
        assert {answer.status_code for answer in answers} == {200}, answers[0].text
        assert len({answer.headers["x-job-id"] for answer in answers}) == 1
        assert len({answer.text for answer in answers}) == 1
        assert await count(one) == 1


async def test_a_repetition_is_told_when_what_was_said_is_deleted(
    client: httpx.AsyncClient,
) -> None:
    """A job outlives its files: no answer of 200 without an audio file."""
    first = await client.post(URL, json={"input": "raw audio"}, headers=key())
    assert (first.status_code, bool(first.content)) == (200, True)
    for entry in (await client.get("/v1/archive")).json()["files"]:
        deleted = await client.delete(f"/v1/archive/{entry['filename']}")
        assert deleted.status_code == 200, deleted.text
    again = await client.post(URL, json={"input": "raw audio"}, headers=key())
    refused(again, 404, "not_found", None)
    assert again.headers["x-should-retry"] == "false"
    assert await count(client) == 1


async def test_a_stream_takes_no_notice_of_a_key(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await client.post(
            "/v1/chat/completions", json=CHAT | {"stream": True}, headers=key()
        )
        assert answer.status_code == 200
        assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_long_medium_in_the_body_is_part_of_the_call(make_context: MakeContext) -> None:
    """So long that it is put aside while it comes, by whichever replica."""
    contexts = [make_context(), make_context()]
    same, other = (
        base64.b64encode(png(color, (900, 900), compress_level=0)).decode()
        for color in ("red", "blue")
    )
    async with client_of(contexts[0]) as one, client_of(contexts[1]) as two:
        answers = [
            await client.post(
                "/v1/images/variations", json={"image": image, "ref_id": "take"}, headers=AGAIN
            )
            for client, image in ((one, same), (two, same), (two, other))
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 409], answers[1].text
        assert answers[0].headers["x-job-id"] == answers[1].headers["x-job-id"]
