"""GET and DELETE /v1/archive: a caller's generated files, and nobody else's."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve_app.api.context import Context
from serve_app.archive.entries import Origin
from serve_app.blobs.references import sweep
from tests.api.conftest import MakeContext, client_of
from tests.images import chunks, png

API = {"Authorization": "Bearer secret"}
ADMIN = {"Authorization": "Bearer root"}
UNKNOWN = f"{'0' * 32}.png"
INJECTIONS = [
    "' OR '1'='1",
    '"; DROP TABLE archive; --',
    "%",
    "_",
    "\\",
    "%00",
    "%ED%A0%80",
    "../../etc/passwd",
    "\u0445" * 1000,
]


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context(environment={"API_TOKENS": "secret", "ADMIN_TOKEN": "root"})


@pytest.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        yield client


async def made(context: Context, color: str = "red", **origin: Any) -> str:
    blob = await context.blobs.write(chunks(png(color)))
    values = {"owner": "anonymous", "operation": "image.generate", "prompt": "a fox"} | origin
    entry = await context.archive.record(blob, Origin.model_validate(values))
    assert entry is not None
    await context.archive.illustrate(entry.filename)
    return entry.filename


async def test_an_entry(client: httpx.AsyncClient, context: Context) -> None:
    name = await made(context, seed=3, parameters={"steps": 2}, tag="t", job_id="job-1")
    entry = (await client.get(f"/v1/archive/{name}")).json()
    assert entry["filename"] == name
    assert entry["url"] == f"/v1/files/{name}"
    assert (entry["type"], entry["mime"], entry["size"]) == ("image", "image/png", len(png()))
    assert isinstance(entry["created"], float)
    assert entry["prompt"] == "a fox"
    assert entry["negative_prompt"] is None
    assert (entry["seed"], entry["parameters"], entry["tag"]) == (3, {"steps": 2}, "t")
    assert (entry["width"], entry["height"], entry["duration"]) == (800, 400, None)
    assert (entry["owner"], entry["job_id"]) == ("anonymous", "job-1")
    assert (entry["model"], entry["operation"]) == (None, "image.generate")
    file = await client.get(entry["url"])
    assert (file.content, file.headers["etag"]) == (png(), f'"{entry["sha256"]}"')
    part = await client.get(entry["url"], headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, png()[:4])
    assert (await client.head(entry["url"])).headers["content-length"] == str(len(png()))
    preview = await client.get(entry["preview_url"])
    assert (preview.status_code, preview.headers["content-type"]) == (200, "image/webp")


@pytest.mark.covers("CoderAI: GET /v1/archive, DELETE /v1/archive/{name}")
async def test_a_listing(client: httpx.AsyncClient, context: Context) -> None:
    names = [await made(context) for _ in range(3)]
    answer = (await client.get("/v1/archive")).json()
    assert [entry["filename"] for entry in answer["files"]] == names[::-1]
    assert (answer["total"], answer["limit"], answer["offset"]) == (3, 1000, 0)
    query = {"limit": 1, "offset": 1, "order": "asc", "type": "image", "q": "FOX"}
    answer = (await client.get("/v1/archive", params=query)).json()
    assert [entry["filename"] for entry in answer["files"]] == names[1:2]
    assert (answer["total"], answer["limit"], answer["offset"]) == (3, 1, 1)


@pytest.mark.parametrize("field", ["q", "model", "operation", "owner", "tag"])
async def test_strings_that_mean_something_elsewhere_find_nothing(
    client: httpx.AsyncClient, context: Context, field: str
) -> None:
    await made(context)
    for value in INJECTIONS:
        answer = await client.get(f"/v1/archive?{field}={value}")
        assert answer.status_code == 200, value
        assert answer.json()["files"] == [], value
    assert (await client.get("/v1/archive")).json()["total"] == 1


async def test_bad_queries(client: httpx.AsyncClient) -> None:
    for query in (
        "limit=0",
        "limit=1001",
        "limit=x",
        "offset=-1",
        "offset=9999999999999999999999",
        "type=text",
        "order=up",
        "created_after=nan",
        "created_before=inf",
        "created_before=x",
        "q=" + "x" * 1001,
    ):
        answer = await client.get(f"/v1/archive?{query}")
        assert answer.status_code == 400, query
        assert answer.json()["error"]["code"] == "invalid_request"
        assert answer.json()["error"]["param"] == query.partition("=")[0]


@pytest.mark.covers("CoderAI: GET /v1/archive, DELETE /v1/archive/{name}")
async def test_deleting_removes_file_preview_and_record(
    client: httpx.AsyncClient, context: Context
) -> None:
    name = await made(context)
    entry = (await client.get(f"/v1/archive/{name}")).json()
    answer = await client.delete(f"/v1/archive/{name}")
    assert (answer.status_code, answer.json()) == (200, {"deleted": name})
    for path in (
        f"/v1/archive/{name}",
        entry["url"],
        entry["preview_url"],
        f"/v1/files/blob/{entry['sha256']}",
    ):
        assert (await client.get(path)).status_code == 404
    assert (await client.delete(f"/v1/archive/{name}")).status_code == 404


async def test_bytes_that_were_uploaded_too_outlive_the_entry(
    client: httpx.AsyncClient, context: Context
) -> None:
    upload = (await client.post("/v1/files/upload", content=png())).json()
    name = await made(context)
    assert (await client.delete(f"/v1/archive/{name}")).status_code == 200
    assert (await client.get(upload["url"])).content == png()


async def test_a_sweep_takes_what_nobody_holds_and_leaves_uploads(
    client: httpx.AsyncClient, context: Context
) -> None:
    upload = (await client.post("/v1/files/upload", content=png("blue"))).json()
    name = await made(context)
    loose = await context.blobs.write(chunks(png("green")))
    assert await sweep(context.database, context.blobs.url, grace_s=-1) == 1
    assert await context.blobs.find(loose.sha256) is None
    assert (await client.get(upload["url"])).status_code == 200
    assert (await client.get(f"/v1/files/{name}")).status_code == 200


async def test_of_many_deletions_at_once_one_succeeds(
    client: httpx.AsyncClient, context: Context
) -> None:
    name = await made(context)
    answers = await asyncio.gather(*(client.delete(f"/v1/archive/{name}") for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 5


async def test_files_of_others_are_indistinguishable_from_unknown_ones(
    client: httpx.AsyncClient, context: Context
) -> None:
    mine, theirs = await made(context), await made(context, owner="api")
    for method in ("GET", "DELETE"):
        foreign = await client.request(method, f"/v1/archive/{theirs}")
        unknown = await client.request(method, f"/v1/archive/{UNKNOWN}")
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.text.replace(theirs, UNKNOWN) == unknown.text
    listed = (await client.get("/v1/archive?owner=api")).json()
    assert (listed["files"], listed["total"]) == ([], 0)
    assert (await client.get("/v1/archive")).json()["total"] == 1
    assert (await client.get(f"/v1/archive/{theirs}", headers=API)).status_code == 200
    assert (await client.get(f"/v1/archive/{mine}", headers=API)).status_code == 404
    assert (await client.get(f"/v1/files/{theirs}")).status_code == 200, "by its unguessable name"


async def test_an_admin_sees_everything(client: httpx.AsyncClient, context: Context) -> None:
    mine, theirs = await made(context), await made(context, owner="api")
    answer = (await client.get("/v1/archive", headers=ADMIN)).json()
    assert {entry["filename"] for entry in answer["files"]} == {mine, theirs}
    answer = (await client.get("/v1/archive?owner=api", headers=ADMIN)).json()
    assert [entry["filename"] for entry in answer["files"]] == [theirs]
    assert (await client.delete(f"/v1/archive/{mine}", headers=ADMIN)).status_code == 200


async def test_unsafe_names_are_not_found(client: httpx.AsyncClient) -> None:
    upper = f"{'A' * 32}.png"
    for name in ("nope", "..%2f..%2fx", "%00", "x" * 10_000, upper, "%F0%9F%92%A9", "';--"):
        for method in ("GET", "DELETE"):
            assert (await client.request(method, f"/v1/archive/{name}")).status_code == 404, name


async def test_an_archived_file_is_an_input(client: httpx.AsyncClient, context: Context) -> None:
    name = await made(context)
    answer = await client.post("/v1/files/upload", json={"file": f"/v1/files/{name}"})
    assert answer.json()["bytes"] == len(png())


SPEECH = {"input": "hello", "model": "hum", "tag": "greeting", "seed": 1}


@pytest.mark.parametrize("form", ["url", "b64_mp3", "b64_wav", "json", "mp3", "pcm", "sse"])
async def test_speech_enters_the_archive_whatever_its_form(
    client: httpx.AsyncClient, form: str
) -> None:
    asked = {"stream_format": "sse"} if form == "sse" else {"response_format": form}
    answer = await client.post("/v1/audio/speech", json=SPEECH | asked)
    assert answer.status_code == 200, answer.text
    (entry,) = (await client.get("/v1/archive")).json()["files"]
    assert (entry["type"], entry["operation"], entry["model"]) == ("audio", "audio.speech", "hum")
    assert (entry["prompt"], entry["tag"], entry["duration"]) == ("hello", "greeting", 0.25)
    stored = (await client.get(entry["url"])).content
    if form == "url":
        assert answer.json()["data"][0]["url"] == entry["url"]
    elif form in ("mp3", "pcm"):
        assert answer.content == stored
    elif form.startswith("b64"):
        assert base64.b64decode(answer.json()["data"][0][form]) == stored


@pytest.mark.parametrize("form", ["url", "b64_wav", "json"])
async def test_what_is_deleted_is_not_kept_by_its_job(client: httpx.AsyncClient, form: str) -> None:
    answer = await client.post("/v1/audio/speech", json=SPEECH | {"response_format": form})
    job = f"/v1/jobs/{answer.headers['x-job-id']}"
    (entry,) = (await client.get("/v1/archive")).json()["files"]
    assert (await client.get(job)).json()["result"] == answer.json()
    assert entry["job_id"] == answer.headers["x-job-id"]
    await client.delete(f"/v1/archive/{entry['filename']}")
    assert (await client.get(f"/v1/files/blob/{entry['sha256']}")).status_code == 404
    after = await client.get(job)
    assert (after.status_code, after.json()["status"]) == (200, "succeeded")
    assert (await client.get("/v1/jobs")).json()["total"] == 1


async def test_each_item_of_a_batch_is_an_entry(client: httpx.AsyncClient) -> None:
    items = [{"input": "one"}, {"input": ""}, {"input": "two"}]
    await client.post("/v1/audio/speech/batch", json={"model": "hum", "items": items})
    files = (await client.get("/v1/archive?order=asc")).json()["files"]
    assert {entry["prompt"] for entry in files} == {"one", "two"}


async def test_speech_that_failed_is_no_entry(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/audio/speech", json=SPEECH | {"voice": "nobody"})
    assert answer.status_code == 400
    assert (await client.get("/v1/archive")).json()["total"] == 0


async def test_without_an_archive_files_are_served_and_not_listed(
    make_context: MakeContext,
) -> None:
    context = make_context(archive={"enabled": False}, server={"public_url": "https://ai.example"})
    async with client_of(context) as client:
        answer = await client.post("/v1/audio/speech", json=SPEECH | {"response_format": "url"})
        url = answer.json()["data"][0]["url"].removeprefix("https://ai.example")
        assert (await client.get(url)).status_code == 200
        assert (await client.get("/v1/archive")).json()["total"] == 0


async def test_addresses_are_absolute_when_the_server_knows_its_own(
    make_context: MakeContext,
) -> None:
    context = make_context(server={"public_url": "https://ai.example"})
    name = await made(context)
    async with client_of(context) as client:
        entry = (await client.get(f"/v1/archive/{name}")).json()
    assert entry["url"] == f"https://ai.example/v1/files/{name}"
    assert entry["preview_url"].startswith("https://ai.example/v1/files/")
