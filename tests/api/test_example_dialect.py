"""The dialect of docs/examples/dialect, mounted by one row and driven over HTTP."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from serve_app.api.app import create_app
from serve_app.api.callback_rendering import callback_rendering
from serve_app.api.context import Context
from serve_app.api.dialect import JOB
from serve_app.api.dialects import DIALECTS
from serve_app.core.errors import InvalidRequest, Unavailable
from serve_app.core.settings import Jobs, Limits
from serve_app.core.text.chat import ChatDelta
from serve_app.jobs.callbacks import Callbacks
from tests.api.conftest import FAMILIES, MakeContext
from tests.dialect_example import example
from tests.material import silence, wav

LITE = example()
V1_AUDIO = DIALECTS[0].own_field("audio", "audio.transcription")
SPOKEN = (*DIALECTS, LITE)
SAY = {"turns": [{"by": "user", "says": "one two three"}]}
IMAGES: dict[str, Any] = {"wanted": "a boat", "pixels": [64, 64], "seed": 7}
RECORDING = {"recording": base64.b64encode(wav(silence(0.2))).decode()}
WORK: list[tuple[str, dict[str, Any]]] = [
    ("/lite/chat", SAY),
    ("/lite/images", IMAGES),
    ("/lite/transcripts", RECORDING),
]


def client_of(context: Context, lite: Any = LITE) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(
        create_app(context, (*DIALECTS, lite)), raise_app_exceptions=False
    )
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context()


@pytest.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        yield client


async def ended(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            task: dict[str, Any] = (await client.get(f"/lite/tasks/{name}")).json()
            if task["state"] not in ("waiting", "working"):
                return task
            await asyncio.sleep(0.02)


def refused(answer: httpx.Response, status: int, reason: str, about: str | None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"problem"}
    problem: dict[str, Any] = answer.json()["problem"]
    assert (problem["reason"], problem["about"]) == (reason, about)
    return problem


async def test_a_conversation_is_answered(client: httpx.AsyncClient) -> None:
    answer = await client.post("/lite/chat", json=SAY | {"engine": "echo"})
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"says"}
    task = (await client.get(f"/lite/tasks/{answer.headers['x-job-id']}")).json()
    assert (task["state"], task["problem"]) == ("done", None)


async def test_a_conversation_is_streamed(client: httpx.AsyncClient) -> None:
    whole = (await client.post("/lite/chat", json=SAY)).json()["says"]
    answer = await client.post("/lite/chat", json=SAY | {"live": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *frames, last = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line]
    assert "".join(frame["says"] for frame in frames) == whole
    assert last == {"is_over": True}


async def test_a_stream_that_breaks_off_ends_in_its_own_shape(make_context: MakeContext) -> None:
    class Broken:
        def chat(self, request: object) -> AsyncIterator[object]:
            return self.said()

        async def said(self) -> AsyncIterator[object]:
            yield ChatDelta(text="one")
            raise Unavailable("the model is gone", param="messages[0]")

    async with client_of(make_context(runs={"chat": Broken()})) as client:
        answer = await client.post("/lite/chat", json=SAY | {"live": True, "engine": "echo"})
    frames = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line]
    assert frames[0] == {"says": "one"}
    assert frames[1]["problem"]["about"] == "turns[0]"
    assert len(frames) == 2


async def test_images_are_generated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/lite/images", json=IMAGES | {"copies": 2})
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["images"]
    assert (first["seed"], second["seed"]) == (7, 8)
    assert (await client.get(first["at"])).headers["content-type"] == "image/png"


async def test_recordings_are_transcribed(client: httpx.AsyncClient) -> None:
    text = await client.post("/lite/transcripts", json=RECORDING)
    assert text.status_code == 200, text.text
    assert text.headers["content-type"].startswith("text/plain")
    lines = await client.post("/lite/transcripts", json=RECORDING | {"as_form": "lines"})
    said = [line["says"] for line in lines.json()["lines"]]
    assert " ".join(said) == text.text


@pytest.mark.parametrize(("path", "body"), WORK)
async def test_everything_can_be_a_task(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    waited = await client.post(path, json=body)
    answer = await client.post(path, json=body | {"later": True, "label": "mine"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["task"] == answer.headers["x-job-id"]
    task = await ended(client, "mine")
    assert task["state"] == "done"
    is_text = waited.headers["content-type"].startswith("text/plain")
    expected = waited.text if is_text else waited.json()
    if path == "/lite/images":
        assert task["answer"]["images"][0]["seed"] == 7
    else:
        assert task["answer"] == expected
    refused(await client.post("/lite/tasks/mine/stop"), 409, "conflict", None)
    refused(await client.post(path, json=body | {"label": "mine"}), 409, "conflict", "label")


async def test_a_task_is_stopped(make_context: MakeContext) -> None:
    slow = [
        family | {"options": family["options"] | {"delay_s": 30}}
        if family["name"] == "images"
        else family
        for family in FAMILIES
    ]
    async with client_of(make_context(families=slow)) as client:
        await client.post("/lite/images", json=IMAGES | {"later": True, "label": "long"})
        assert (await client.post("/lite/tasks/long/stop")).status_code == 200
        assert (await ended(client, "long"))["state"] == "stopped"


@pytest.mark.parametrize("is_configured", [False, True])
async def test_its_own_limit_passes(make_context: MakeContext, is_configured: bool) -> None:
    slow = [
        family | {"options": family["options"] | {"delay_s": 1}}
        if family["name"] == "images"
        else family
        for family in FAMILIES
    ]
    limits = {"lite" if is_configured else "v1": 0.05}
    lite = LITE if is_configured else replace(LITE, sync_timeout_s=0.05)
    context = make_context(families=slow, jobs={"sync_timeout_s": limits})
    async with client_of(context, lite) as client:
        problem = refused(await client.post("/lite/images", json=IMAGES), 504, "timeout", None)
        assert (await ended(client, problem["task"]))["state"] == "done"


@pytest.mark.parametrize(
    ("path", "body", "status", "reason", "about"),
    [
        ("/lite/chat", SAY | {"engine": "nobody"}, 404, "model_not_found", "engine"),
        ("/lite/chat", {"turns": []}, 400, "invalid_request", "turns"),
        ("/lite/chat", SAY | {"live": True, "later": True}, 400, "invalid_request", "live"),
        ("/lite/images", IMAGES | {"engine": "nobody"}, 404, "model_not_found", "engine"),
        ("/lite/images", IMAGES | {"pixels": [1, 1]}, 400, "invalid_request", "pixels[0]"),
        ("/lite/images", IMAGES | {"report_to": "ftp://a"}, 400, "invalid_request", "report_to"),
        ("/lite/images", IMAGES | {"label": "12"}, 400, "invalid_request", "label"),
        ("/lite/transcripts", {"recording": "%"}, 400, "invalid_request", "recording"),
        ("/lite/transcripts", RECORDING | {"spoken": "xx"}, 400, "invalid_request", "spoken"),
        ("/lite/nothing", {}, 404, "not_found", None),
    ],
)
async def test_errors_have_its_own_shape_and_fields(
    client: httpx.AsyncClient,
    path: str,
    body: dict[str, Any],
    status: int,
    reason: str,
    about: str | None,
) -> None:
    refused(await client.post(path, json=body), status, reason, about)


async def test_what_is_refused_before_its_routes_has_its_shape_too(
    client: httpx.AsyncClient, make_context: MakeContext
) -> None:
    refused(await client.get("/lite/tasks/job-nobody"), 404, "not_found", "task")
    refused(await client.get("/lite/chat"), 405, "method_not_allowed", None)
    async with client_of(make_context(auth={"required": True})) as closed:
        refused(await closed.post("/lite/chat", json=SAY), 401, "invalid_api_key", None)


async def test_every_dialect_reads_the_jobs_of_the_others(client: httpx.AsyncClient) -> None:
    for path, body in WORK:
        await client.post(path, json=body | {"later": True, "label": path.replace("/", "-")})
        await ended(client, path.replace("/", "-"))
    await client.post("/lite/transcripts", json=RECORDING | {"as_form": "lines", "label": "lines"})
    speech = {"model": "hum", "input": "hello", "response_format": "url", "ref_id": "theirs"}
    assert (await client.post("/v1/audio/speech", json=speech)).status_code == 200
    listed = (await client.get("/v1/jobs")).json()
    assert listed["total"] == 5
    shapes = {job["ref_id"]: job["result"] for job in listed["data"]}
    assert shapes["-lite-chat"]["object"] == "chat.completion"
    assert shapes["-lite-images"]["data"][0]["url"].startswith("/v1/files/")
    # What the other dialect has kept of its form is not read: both are answered as by default.
    assert shapes["-lite-transcripts"] == shapes["lines"]
    assert shapes["lines"].keys() >= {"text"}
    # Nor has this one an answer for an operation that it does not bring.
    theirs = (await client.get("/lite/tasks/theirs")).json()
    assert (theirs["state"], theirs["answer"]) == ("done", None)


async def test_a_callback_is_in_its_shape(context: Context, client: httpx.AsyncClient) -> None:
    heard: list[bytes] = []
    is_heard = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].split()[0])
        heard.append(await reader.readexactly(size))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()
        is_heard.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    allowed = Limits(fetch_allow=("127.0.0.1",))
    calling = replace(context, config=context.config.model_copy(update={"limits": allowed}))
    async with server, client_of(calling) as own:
        body = IMAGES | {"report_to": url, "label": "told"}
        assert (await own.post("/lite/images", json=body)).status_code == 200
        callbacks = Callbacks(
            context.database,
            callback_rendering(context.config, context.blobs, SPOKEN),
            settings=Jobs(),
            limits=allowed,
            secret=None,
        )
        await callbacks.deliver_due()
        async with asyncio.timeout(30):
            await is_heard.wait()
    told = json.loads(heard[0])
    assert told["event"] == "task_ended"
    assert told["task"] == (await client.get("/lite/tasks/told")).json()


def test_its_results_are_those_of_its_routes() -> None:
    for operation in LITE.fields:
        assert operation == JOB or LITE.answers.of(operation) is not None


async def test_a_task_that_failed_names_its_own_field(make_context: MakeContext) -> None:
    class Deaf:
        async def transcribe(self, request: object) -> AsyncIterator[object]:
            raise InvalidRequest("nothing can be heard", param="audio")
            yield

    async with client_of(make_context(runs={"transcription": Deaf()})) as client:
        answer = await client.post("/lite/transcripts", json=RECORDING | {"label": "noise"})
        problem = refused(answer, 400, "invalid_request", "recording")
        task = (await client.get("/lite/tasks/noise")).json()
        theirs = (await client.get("/v1/jobs/noise")).json()
    assert task["problem"] == {"reason": "invalid_request", "about": "recording"}
    assert problem["task"] == task["task"]
    assert theirs["error"]["param"] == V1_AUDIO


async def test_its_own_files_are_read_from_the_store(context: Context) -> None:
    keeping = replace(LITE, file_paths=("/lite/kept/**",))
    async with client_of(context, keeping) as client:
        at = (await client.post("/lite/images", json=IMAGES)).json()["images"][0]["at"]
        name = at.rpartition("/")[2]
        for image in (f"/lite/kept/2026/{name}", f"http://127.0.0.1:8000/lite/kept/{name}"):
            answer = await client.post("/v1/images/upscale", json={"image": image, "scale": 2})
            assert answer.status_code == 200, answer.text
        answer = await client.post("/v1/images/upscale", json={"image": f"/lite/lost/{name}"})
        assert answer.status_code == 400
