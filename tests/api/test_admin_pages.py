"""The administration's pages: they show what is there, and markup in it is text."""

from collections.abc import AsyncIterator

import httpx
import pytest

from serve_app.core.status import ModelStatus
from tests.api.conftest import MakeContext, client_of

HTML = {"Accept": "text/html"}
ADMIN = {"Authorization": "Bearer sk-admin"}
SCRIPT = "<script>alert(1)</script>"
PAGES = ["", "/tokens", "/tasks", "/models", "/archive", "/metrics"]


@pytest.fixture
async def client(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's, of a server that has done something."""
    status = ModelStatus(id="echo", state="failed", cause=SCRIPT)
    context = make_context(
        environment={"ADMIN_TOKEN": "sk-admin", "ADMIN_USERNAME": "ada", "ADMIN_PASSWORD": "x" * 9},
        statuses={"echo": status},
    )
    async with client_of(context) as client:
        client.headers.update(ADMIN | HTML)
        body = {"input": SCRIPT, "response_format": "url", "tag": SCRIPT}
        assert (await client.post("/v1/audio/speech", json=body)).status_code == 200
        assert (await client.post("/admin/api/tokens", json={"name": SCRIPT})).status_code == 200
        yield client


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_shows_what_is_there_as_text(client: httpx.AsyncClient, page: str) -> None:
    answer = await client.get(f"/admin{page}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<!doctype html>")
    assert "<script" not in answer.text
    is_repeated = page in ("/tokens", "/tasks", "/models", "/archive")
    assert ("&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text) == is_repeated
    if page == "/metrics":
        assert "<td>tts</td><td>1</td><td>0</td>" in answer.text


@pytest.mark.covers("CoderAI: the pages of the administration")
async def test_the_first_page_leads_to_all_others(client: httpx.AsyncClient) -> None:
    first = (await client.get("/admin")).text
    assert all(f'href="/admin{page}"' in first for page in PAGES[1:])


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_is_closed_to_others(client: httpx.AsyncClient, page: str) -> None:
    stranger = {"Authorization": "", "Accept": "text/html"}
    answer = await client.get(f"/admin{page}", headers=stranger)
    assert (answer.status_code, answer.headers["location"]) == (302, f"/login?next=/admin{page}")
    answer = await client.get(f"/admin{page}", headers=stranger | {"Accept": "application/json"})
    assert answer.status_code == 401
