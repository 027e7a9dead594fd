"""What pages of other sites can do to a server on this machine that asks for no token: nothing."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from serve_app.api.app import create_app
from tests.api.conftest import MakeContext, client_of
from tests.images import png

EVIL = "https://evil.example"
STUDIO = "https://studio.example"
OWN = "http://127.0.0.1:8000"
FOREIGN: list[dict[str, str]] = [
    {"Origin": EVIL},
    {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
    {"Origin": "http://localhost:8000", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://127.0.0.1:8000"},
    {"Origin": "http://127.0.0.1:8000.evil.example"},
    {"Origin": f"{OWN}, {EVIL}"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": OWN, "Sec-Fetch-Site": "cross-site"},
]
OUR_OWN: list[dict[str, str]] = [
    {},
    {"Origin": OWN},
    {"Origin": OWN, "Sec-Fetch-Site": "same-origin"},
    {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]


async def draw(client: httpx.AsyncClient, headers: Mapping[str, str]) -> httpx.Response:
    """As a page may without asking the server first: with a form."""
    file = {"image": ("x.png", png(size=(8, 8)), "image/png")}
    form = {"prompt": "a lake", "size": "64x64"}
    return await client.post("/v1/images/edits", data=form, files=file, headers=dict(headers))


def refused(answer: httpx.Response) -> str:
    assert answer.status_code == 403, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("host_not_allowed", "permission_error")
    return str(error["message"])


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_page_of_another_site_changes_nothing(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert "server.cors_origins" in refused(await draw(client, headers))
    text = {"Content-Type": "text/plain"} | headers
    refused(await client.post("/v1/files/upload", content=png(), headers=text))
    refused(await client.post("/v1/audio/speech", content='{"input": "hello"}', headers=text))
    refused(await client.post("/v1/jobs/job-1/cancel", headers=headers))
    refused(await client.post("/login", data={"username": "x"}, headers=headers))
    assert (await client.get("/v1/jobs")).json()["total"] == 0


@pytest.mark.parametrize("headers", OUR_OWN)
async def test_what_is_no_page_and_the_own_pages_work(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await draw(client, headers)
    assert answer.status_code == 200, answer.text
    answer = await client.post("/v1/audio/speech", json={"input": "hello"}, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("headers", FOREIGN)
async def test_reading_is_left_to_the_rules_of_browsers(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for method in ("GET", "HEAD"):
        answer = await client.request(method, "/v1/files/none.png", headers=headers)
        assert answer.status_code == 404
    assert "access-control-allow-origin" not in answer.headers


async def test_every_route_that_changes_something_is_closed(make_context: MakeContext) -> None:
    context = make_context()
    routes = [route for route in create_app(context).routes if isinstance(route, Route)]
    async with client_of(context) as client:
        for route in routes:
            path = str(route.url_path_for(route.name, **dict.fromkeys(route.param_convertors, "1")))
            for method in set(route.methods or ()) - {"GET", "HEAD"}:
                answer = await client.request(method, path, headers={"Origin": EVIL})
                assert answer.status_code == 403, answer.text
                assert "server.cors_origins" in answer.text


@pytest.mark.parametrize("listed", [STUDIO, "*"])
async def test_pages_of_listed_origins_may(make_context: MakeContext, listed: str) -> None:
    async with client_of(make_context(server={"cors_origins": [listed]})) as client:
        for site in ("cross-site", "same-site"):
            headers = {"Origin": STUDIO, "Sec-Fetch-Site": site}
            assert (await draw(client, headers)).status_code == 200
        if listed != "*":
            refused(await draw(client, {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}))
            refused(await draw(client, {"Origin": "null"}))
            refused(await draw(client, {"Sec-Fetch-Site": "cross-site"}))


@pytest.mark.parametrize(
    ("server", "headers"),
    [
        ({"public_url": "https://ai.example/poly"}, {"Origin": "https://ai.example"}),
        ({"public_url": "https://AI.example:443"}, {"Origin": "https://ai.example"}),
        (
            {"trusted_proxies": ["127.0.0.1"]},
            {
                "Origin": "https://ai.example",
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": "ai.example",
            },
        ),
    ],
)
async def test_behind_a_proxy_the_own_pages_are_at_its_address(
    make_context: MakeContext, server: dict[str, Any], headers: dict[str, str]
) -> None:
    async with client_of(make_context(server=server)) as client:
        answer = await draw(client, headers | {"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 200, answer.text
        for other in (EVIL, "http://ai.example", "https://ai.example:8443", "null"):
            refused(await draw(client, headers | {"Origin": other}))


async def test_who_needs_a_token_is_not_asked_for_a_page(make_context: MakeContext) -> None:
    context = make_context(auth={"required": True}, environment={"API_TOKENS": "sk-one"})
    async with client_of(context) as client:
        for headers in FOREIGN:
            assert (await draw(client, headers | {"X-Api-Key": "sk-one"})).status_code == 200
            assert (await draw(client, headers)).status_code == 401
