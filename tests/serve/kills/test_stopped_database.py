"""A whole server whose Postgres goes away while it works, and comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from serve_app.launch.processes import adopt_orphans
from tests.serve.kills.conftest import Server
from tests.serve.kills.test_kills import begin_dub, begin_speech, check_dubbed
from tests.servers import StoppablePostgres

pytestmark = pytest.mark.slow

TOKEN, ADMIN_TOKEN = "sk-of-the-environment", "sk-admin-of-the-environment"
ANSWER_S = 40
"""How long a request may wait for a database before it is refused; see Database."""


@pytest.fixture(scope="module")
def running(
    stoppable_postgres: StoppablePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    adopt_orphans()
    server = Server(
        tmp_path_factory.mktemp("stopped"),
        environment={"API_TOKENS": TOKEN, "ADMIN_TOKEN": ADMIN_TOKEN},
        auth={"required": True},
        storage={"database_url": stoppable_postgres.new_database("server")},
        limits={"rates": None},
        jobs={"placement": {"min_replicas": 1, "max_replicas": 1, "max_ongoing_requests": 100}},
    )
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def client(
    running: Server, stoppable_postgres: StoppablePostgres
) -> AsyncIterator[httpx.AsyncClient]:
    """With a token that is a row of the database, and that the server has seen."""
    running.diary.unlink(missing_ok=True)
    async with httpx.AsyncClient(base_url=running.url, timeout=120, trust_env=False) as client:
        made = await client.post(
            "/admin/api/tokens",
            json={"name": "made"},
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
        )
        assert made.status_code in (200, 201), made.text
        client.headers["Authorization"] = f"Bearer {made.json()['token']}"
        assert (await chat(client)).status_code == 200
        yield client


async def chat(client: httpx.AsyncClient, **fields: object) -> httpx.Response:
    body = {"model": "echo", "messages": [{"role": "user", "content": "still here"}], **fields}
    return await client.post("/v1/chat/completions", json=body)


async def until_it_works(client: httpx.AsyncClient) -> None:
    """A job's whole way: what was lost of the connections is made anew."""
    async with asyncio.timeout(90):
        while True:
            answer = await client.post(
                "/v1/audio/speech", json={"input": "again", "response_format": "url"}
            )
            if answer.status_code == 200:
                return
            check_unavailable(answer)
            await asyncio.sleep(0.5)


def check_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("backend_unavailable", "server_error"), error
    assert "database" in error["message"]
    assert int(answer.headers["retry-after"]) >= 1


async def ended(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    """The finished job; meanwhile nothing but 200 and the contract's 503 is seen."""
    async with asyncio.timeout(90):
        while True:
            answer = await client.get(f"/v1/jobs/{job_id}")
            if answer.status_code == 200:
                job: dict[str, Any] = answer.json()
                if job["status"] not in ("queued", "running"):
                    return job
            else:
                check_unavailable(answer)
            await asyncio.sleep(0.3)


async def test_text_goes_on_and_what_needs_the_database_is_refused(
    client: httpx.AsyncClient, stoppable_postgres: StoppablePostgres
) -> None:
    stoppable_postgres.stop()
    try:
        for _ in range(3):
            answer = await chat(client)
            assert answer.status_code == 200, answer.text
            await asyncio.sleep(1)
        assert (await chat(client, stream=True)).text.endswith("data: [DONE]\n\n")
        assert (await client.get("/v1/health")).json()["status"] == "ok"
        async with asyncio.timeout(ANSWER_S):
            answers = await asyncio.gather(
                client.get("/v1/jobs"),
                client.get("/v1/archive"),
                client.get("/v1/audio/voices"),
                client.post("/v1/audio/speech", json={"input": "no", "response_format": "url"}),
                chat(client, **{"async": True}),
                client.get("/v1/models", headers={"Authorization": "Bearer sk-never-seen"}),
            )
        for answer in answers:
            check_unavailable(answer)
    finally:
        stoppable_postgres.start()
    await until_it_works(client)


@pytest.mark.parametrize("at_once", [False, True], ids=["in order", "at once"])
async def test_jobs_under_way_finish_when_it_is_back(
    running: Server, client: httpx.AsyncClient, stoppable_postgres: StoppablePostgres, at_once: bool
) -> None:
    """One of five stages, one that a caller waits for, and more than there are places."""
    dub = await begin_dub(client)
    waited = asyncio.create_task(
        client.post("/v1/audio/speech", json={"input": "waited", "response_format": "url"})
    )
    speeches = [await begin_speech(client, f"speech {n}", model="narrow") for n in range(4)]
    await asyncio.to_thread(running.wait_for, "transcribe begins")
    stoppable_postgres.stop(at_once=at_once)
    try:
        await asyncio.sleep(5)
        assert (await chat(client)).status_code == 200
    finally:
        stoppable_postgres.start()
    check_dubbed(await ended(client, dub))
    for job_id in speeches:
        job = await ended(client, job_id)
        assert job["status"] == "succeeded", job["error"]
        made = await client.get(job["result"]["data"][0]["url"])
        assert made.status_code == 200
    answer = await waited
    assert answer.status_code == 200, answer.text
    assert running.noted("extract_audio begins") == 1
    assert running.noted("replace_audio ends") == 1
    listed = (await client.get("/v1/jobs", params={"limit": 500})).json()["data"]
    assert {dub, *speeches} <= {job["id"] for job in listed}
    assert all(job["status"] == "succeeded" for job in listed)
