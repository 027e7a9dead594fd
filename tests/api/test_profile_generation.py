"""POST /v1/characters/generate and /v1/environments/generate over the fake image engine."""

import base64
import io
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.api.conftest import FAMILIES, MakeContext, client_of

BODY: dict[str, Any] = {"name": "ann", "prompt": "a hero", "width": 64, "height": 72}


@pytest.fixture(params=["characters", "environments"])
def path(request: pytest.FixtureRequest) -> str:
    return f"/v1/{request.param}"


async def sizes(client: httpx.AsyncClient, path: str) -> list[tuple[int, int]]:
    images = (await client.get(f"{path}/ann")).json()["images"]
    data = [base64.b64decode(image["data"].partition(",")[2]) for image in images]
    return [Image.open(io.BytesIO(each)).size for each in data]


async def test_a_profile_of_drawn_images(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(f"{path}/generate", json=BODY | {"description": "tall"})
    assert answer.json() == {"ok": True, "name": "ann", "image_count": 3}
    assert await sizes(client, path) == [(64, 72)] * 3
    assert (await client.get(f"{path}/ann")).json()["description"] == "tall"
    job = (await client.get(f"/v1/jobs/{answer.headers['x-job-id']}")).json()
    assert (job["status"], job["operation"]) == ("succeeded", "image.generation")
    assert len((await client.get("/v1/archive?q=a hero")).json()["files"]) == 3


async def test_generating_again_replaces_the_profile(client: httpx.AsyncClient, path: str) -> None:
    await client.post(f"{path}/generate", json=BODY)
    answer = await client.post(f"{path}/generate", json=BODY | {"n": 1, "steps": 2, "width": 80})
    assert answer.json()["image_count"] == 1
    assert await sizes(client, path) == [(80, 72)]


async def test_what_a_model_cannot_follow_is_told(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(f"{path}/generate", json=BODY | {"width": 65, "n": 1})
    assert answer.json()["warnings"] == ["size: rounded to 64x72, a multiple of 8"]


async def test_a_profile_is_no_job_and_says_so(client: httpx.AsyncClient, path: str) -> None:
    fields = BODY | {"n": 1, "async": True, "callback_url": "https://example.com"}
    answer = await client.post(f"{path}/generate", json=fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ignored-fields"] == "async,callback_url"


async def test_another_users_profile_is_not_drawn_for(make_context: MakeContext) -> None:
    async with client_of(make_context(environment={"API_TOKENS": "sk-api"})) as client:
        assert (await client.post("/v1/characters/generate", json=BODY)).status_code == 200
        api = {"Authorization": "Bearer sk-api"}
        answer = await client.post("/v1/characters/generate", json=BODY, headers=api)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_owner")
        assert (await client.get("/v1/jobs", headers=api)).json()["total"] == 0


async def test_it_needs_an_image_model(make_context: MakeContext, path: str) -> None:
    families = [family for family in FAMILIES if family["name"] != "images"]
    async with client_of(make_context(families=families)) as client:
        answer = await client.post(f"{path}/generate", json=BODY)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "nothing"}, 404, "model"),
        ({"model": "echo"}, 400, "model"),
        ({"prompt": " "}, 400, "prompt"),
    ],
)
async def test_bad_requests(
    client: httpx.AsyncClient, path: str, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = await client.post(f"{path}/generate", json=BODY | fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert (await client.get(f"{path}/ann")).status_code == 404
