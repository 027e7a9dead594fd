"""Generated files of the AI Server dialect by their addresses."""

import io
import re
from typing import Any

import httpx
import pytest
from PIL import Image

from serve_app.api.context import Context
from tests.ai_server import form, refused, results
from tests.api.conftest import MakeContext, client_of
from tests.images import png

SMALL = {"positivePrompt": "a boat", "width": 128, "height": 64, "seed": 7}
KEYS = {"API_TOKENS": "sk-one,sk-two", "ADMIN_TOKEN": "sk-boss"}


async def made(client: httpx.AsyncClient, **headers: str) -> str:
    answer = await client.post("/api/TextToImage", json=SMALL, headers=headers)
    url: str = results(answer)[0]["url"]
    return url


@pytest.mark.covers("AI Server: artifacts")
async def test_a_file_is_downloaded(client: httpx.AsyncClient) -> None:
    url = await made(client)
    whole = await client.get(url, headers={"Accept": "application/json"})
    assert whole.headers["content-type"] == "image/webp"
    assert "content-disposition" not in whole.headers
    part = await client.get(url, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")
    same = await client.get(url, headers={"If-None-Match": whole.headers["etag"]})
    assert same.status_code == 304
    name = url.rpartition("/")[2]
    for ask in ("?download=true", "?download=1"):
        saved = await client.get(url + ask)
        assert saved.headers["content-disposition"] == f"attachment; filename={name}"
        assert saved.content == whole.content
    assert (await client.head(url)).headers["content-length"] == str(len(whole.content))
    path = url.partition("/artifacts/")[2]
    for each in (path, f"/artifacts/{path}"):
        got = await client.get("/api/GetArtifact", params={"path": each, "download": "true"})
        assert got.content == whole.content
        assert "content-disposition" in got.headers
    assert (await client.get(f"/v1/files/{name}")).content == whole.content
    assert (await client.get("/v1/archive")).json()["total"] == 1


async def test_what_is_no_address_of_a_file(client: httpx.AsyncClient) -> None:
    url = await made(client)
    folder, _, name = url.rpartition("/")
    for bad in (
        f"{folder}/{name[:-5]}.png",
        re.sub(r"/\d{4}/", "/1999/", url),
        re.sub(r"/\d{4}/", "/0000/", url),
        f"{folder}/{name}/x",
        f"{folder}/{name.upper()}",
    ):
        refused(await client.get(bad), 404, "NotFound", "Artifact not found")


async def test_variants(client: httpx.AsyncClient) -> None:
    path = (await made(client)).partition("/artifacts/")[2]
    sizes = {
        "width=32": (32, 16),
        "height=32": (64, 32),
        "width=10,height=10": (10, 10),
        "width=32,height=0": (32, 16),
    }
    for options, size in sizes.items():
        for _ in range(2):
            answer = await client.get(f"/variants/{options}/{path}")
            assert answer.headers["content-type"] == "image/webp"
            assert Image.open(io.BytesIO(answer.content)).size == size
    got = await client.get("/api/GetVariant", params={"variant": "width=32", "path": path})
    assert Image.open(io.BytesIO(got.content)).size == (32, 16)
    for options in ("width=0", "width=5000", "size=3", "width=-1", "width=x", "width=" + "9" * 30):
        refused(await client.get(f"/variants/{options}/{path}"), 400, "ArgumentException")
    refused(await client.get("/variants/width=32/nothing"), 404, "NotFound", "Artifact not found")


async def test_a_closed_server_asks_for_a_token(make_context: MakeContext) -> None:
    context = make_context(auth={"required": True}, environment=KEYS, artifacts={"access": "token"})
    async with client_of(context) as client:
        url = await made(client, **{"X-Api-Key": "sk-one"})
        refused(await client.get(url), 401, "Unauthorized")
        assert (await client.get(url, headers={"X-Api-Key": "sk-one"})).status_code == 200


async def test_uploads_are_their_owners(make_context: MakeContext) -> None:
    context: Context = make_context(auth={"required": False}, environment=KEYS)
    one, boss = {"X-Api-Key": "sk-one"}, {"X-Api-Key": "sk-boss"}
    image = png("red", (20, 10))
    async with client_of(context) as client:
        upscaled = await client.post("/api/ImageUpscale", files={"image": image}, headers=one)
        folder = (
            results(upscaled)[0]["url"]
            .rpartition("/")[0]
            .replace("/artifacts/", "/artifacts/input/")
        )
        blob = next(iter(await uploads_of(context)))
        url = f"{folder}/{blob}.png"
        assert (await client.get(url, headers=one)).content == image
        assert (await client.get(url, headers=boss)).content == image
        refused(await client.get(url), 403, "Forbidden")
        refused(await client.get(url.replace("/input", "")), 404, "NotFound", "Artifact not found")
        path = url.partition("/artifacts/")[2]
        refused(await client.get(f"/variants/width=5/{path}", headers=one), 404, "NotFound")
        refused(await client.delete(f"/files/{path}"), 403, "Forbidden")
        assert (await client.delete(f"/files/{path}", headers=one)).json() == {}
        refused(await client.get(url, headers=one), 404, "NotFound")


async def uploads_of(context: Context) -> list[str]:
    from sqlalchemy import select

    from serve_app.database.schema import BlobReferenceRow

    held = select(BlobReferenceRow.sha256).where(BlobReferenceRow.holder.startswith("upload:"))
    return await context.database.read(lambda session: list(session.scalars(held)))


async def test_files_are_deleted_by_their_owner(make_context: MakeContext) -> None:
    context = make_context(auth={"required": False}, environment=KEYS)
    one = {"X-Api-Key": "sk-one"}
    async with client_of(context) as client:
        url = await made(client, **one)
        path = url.partition("/artifacts/")[2]
        refused(await client.delete(f"/files/{path}"), 403, "Forbidden")
        missing = path.replace(path.rpartition("/")[2], "0" * 64 + ".webp")
        body = {"paths": [path, missing, "x"]}
        told = (await client.post("/api/DeleteFiles", json=body)).json()
        assert told == {"deleted": [], "missing": [missing, "x"], "failed": [path]}
        assert (await client.get(url)).status_code == 200
        told = (await client.post("/api/DeleteFiles", json=body, headers=one)).json()
        assert told["deleted"] == [path]
        refused(await client.get(url), 404, "NotFound", "Artifact not found")
        refused(await client.delete(f"/api/DeleteFile?path={path}", headers=one), 404, "NotFound")
        for paths in ("[a,b]", "a,b", '["a","b"]', ["a", "b"]):
            told = (await client.post("/api/DeleteFiles", data={"paths": paths})).json()
            assert told == {"deleted": [], "missing": ["a", "b"], "failed": []}


async def test_files_of_a_server_without_an_archive(make_context: MakeContext) -> None:
    context: Context = make_context(
        archive={"enabled": False}, auth={"required": False}, environment=KEYS
    )
    one = {"X-Api-Key": "sk-one"}
    async with client_of(context) as client:
        url = await made(client)
        assert (await client.get(url)).status_code == 200
        refused(await client.get(re.sub(r"/\d{4}/", "/1999/", url)), 404, "NotFound")
        files = {"image": png("red", (20, 10))}
        await client.post("/api/ImageUpscale", files=files, headers=one)
        (blob,) = await uploads_of(context)
        folder = url.rpartition("/")[0]
        # It is stored, and given to a job; but it is not what the job has made.
        answer = await client.get(f"{folder}/{blob}.png", headers=one)
        refused(answer, 404, "NotFound", "Artifact not found")
        own = folder.replace("/artifacts", "/artifacts/input")
        assert (await client.get(f"{own}/{blob}.png", headers=one)).status_code == 200
        (job,) = (await client.get("/v1/jobs?operation=image.generation")).json()["data"]
        await context.job_store.delete(job["id"])
        refused(await client.get(url), 404, "NotFound", "Artifact not found")


@pytest.mark.parametrize(
    "host", ["a b", "x/y", "[::1", "a" * 300, "\u00e9".encode().decode("latin-1")]
)
async def test_a_host_that_is_none_is_in_no_url(make_context: MakeContext, host: str) -> None:
    context = make_context(auth={"required": True}, environment=KEYS)
    headers: dict[str, Any] = {"Host": host.encode("latin-1"), "X-Api-Key": "sk-one"}
    async with client_of(context) as client:
        answer = await client.post("/api/TextToImage", json=SMALL, headers=headers)
        assert results(answer)[0]["url"].startswith("/artifacts/")


async def test_the_address_that_a_proxy_tells(make_context: MakeContext) -> None:
    context = make_context(
        auth={"required": True},
        environment=KEYS,
        server={"trusted_proxies": ["127.0.0.1"]},
    )
    headers = {
        "X-Api-Key": "sk-one",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "ai.org",
        "X-Forwarded-Prefix": "/ai",
    }
    async with client_of(context) as client:
        answer = await client.post("/api/ImageUpscale", **_with(form(("image", png())), headers))
        assert results(answer)[0]["url"].startswith("https://ai.org/ai/artifacts/")


def _with(request: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    return request | {"headers": request["headers"] | headers}
