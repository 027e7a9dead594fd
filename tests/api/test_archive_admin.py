"""/admin/api/archive and /admin/api/archive-settings."""

from collections.abc import AsyncIterator

import httpx
import pytest

from serve_app.api.context import Context
from tests.api.conftest import MakeContext, client_of
from tests.api.test_archive import ADMIN, API, UNKNOWN, made


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context(environment={"API_TOKENS": "secret", "ADMIN_TOKEN": "root"})


@pytest.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        yield client


async def test_files_of_all_owners(client: httpx.AsyncClient, context: Context) -> None:
    one, two = await made(context), await made(context, owner="api")
    answer = (await client.get("/admin/api/archive", headers=ADMIN)).json()
    assert [entry["filename"] for entry in answer["files"]] == [two, one]
    assert (answer["total"], answer["limit"], answer["offset"]) == (2, 50, 0)
    answer = (await client.get("/admin/api/archive?limit=1&offset=1", headers=ADMIN)).json()
    assert [entry["filename"] for entry in answer["files"]] == [one]
    entry = (await client.get(f"/admin/api/archive/{two}", headers=ADMIN)).json()
    assert entry["owner"] == "api"
    assert (await client.delete(f"/admin/api/archive/{two}", headers=ADMIN)).json() == {
        "deleted": two
    }
    for method in ("GET", "DELETE"):
        for name in (two, UNKNOWN, "%2e%2e", "x" * 9000):
            answer = await client.request(method, f"/admin/api/archive/{name}", headers=ADMIN)
            assert answer.status_code == 404


async def test_settings(client: httpx.AsyncClient, context: Context) -> None:
    path = "/admin/api/archive-settings"
    first = (await client.get(path, headers=ADMIN)).json()
    assert first == {"enabled": True, "retention": "never", "directory": context.blobs.url} | {
        "directory": context.config.storage.blobs_location
    }
    answer = await client.post(path, headers=ADMIN, json={"retention": "1w", "directory": "/x"})
    assert answer.json() == first | {"retention": "1w"}
    answer = await client.post(path, headers=ADMIN, json={"enabled": False})
    assert answer.json() == first | {"retention": "1w", "enabled": False}
    assert (await client.get(path, headers=ADMIN)).json() == answer.json()
    await client.post("/v1/audio/speech", json={"input": "hi", "response_format": "url"})
    assert (await client.get("/v1/archive")).json()["total"] == 0


@pytest.mark.parametrize(
    "body", [{"retention": "2y"}, {"retention": 5}, {"enabled": "maybe"}, {"enabled": 1}, [], "x"]
)
async def test_bad_settings(client: httpx.AsyncClient, body: object) -> None:
    answer = await client.post("/admin/api/archive-settings", headers=ADMIN, json=body)
    assert answer.status_code == 400
    settings = (await client.get("/admin/api/archive-settings", headers=ADMIN)).json()
    assert (settings["enabled"], settings["retention"]) == (True, "never")


@pytest.mark.parametrize("path", ["archive", f"archive/{UNKNOWN}", "archive-settings"])
async def test_only_admins(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"/admin/api/{path}")).status_code == 401
    assert (await client.get(f"/admin/api/{path}", headers=API)).status_code == 403
