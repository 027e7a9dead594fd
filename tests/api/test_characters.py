"""/v1/characters and their twins for administrators; /v1/environments answers alike."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from deployments.image.opencv_faces import OpencvFaces
from serve_app.api.context import Context
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.image import OpencvFacesOptions
from tests.api.conftest import MakeContext, client_of
from tests.images import claiming_png, png
from tests.scenes import png_of, portrait

API = {"Authorization": "Bearer secret"}
ADMIN = {"Authorization": "Bearer root"}
PLURALS = ["characters", "environments"]
BAD_NAMES = [
    ".",
    "..",
    "-x",
    " x",
    "a/b",
    "a//b",
    "../../etc/passwd",
    "a\\b",
    "a\0b",
    "a\tb",
    "x" * 65,
    "x" * 10_000,
    "\u0430lice",
    "\uff41lice",
    "alice\u200b",
    "'; DROP TABLE profiles; --",
    "a%2fb",
]


def escaped(name: str) -> str:
    """Every byte percent-encoded, so that no client normalises dots and slashes away."""
    return "".join(f"%{byte:02X}" for byte in name.encode("utf-8", "surrogatepass"))


def image(color: str = "red", **fields: Any) -> dict[str, Any]:
    return {"data": base64.b64encode(png(color, (40, 20))).decode()} | fields


def data_url(color: str = "red") -> str:
    return "data:image/png;base64," + image(color)["data"]


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context(environment={"API_TOKENS": "secret", "ADMIN_TOKEN": "root"})


@pytest.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        yield client


@pytest.fixture(params=PLURALS)
def path(request: pytest.FixtureRequest) -> str:
    return f"/v1/{request.param}"


async def saved(client: httpx.AsyncClient, path: str, name: str = "ann", *colors: str) -> None:
    images = [image(color, label=color) for color in colors or ("red",)]
    answer = await client.post(path, json={"name": name, "images": images})
    assert answer.status_code == 200, answer.text


@pytest.mark.covers("CoderAI: character profiles")
async def test_create_list_read(client: httpx.AsyncClient, path: str) -> None:
    images = [image("red", label="front"), image("blue")]
    body = {"name": "Ann B.", "description": "tall", "images": images}
    answer = await client.post(path, json=body)
    assert answer.json() == {"ok": True, "name": "Ann B.", "image_count": 2}
    await saved(client, path, "bob")
    listed = (await client.get(path)).json()[path.rpartition("/")[2]]
    assert [entry["name"] for entry in listed] == ["Ann B.", "bob"]
    first = listed[0]
    assert isinstance(first.pop("created_at"), int)
    assert first == {"name": "Ann B.", "description": "tall", "image_count": 2}
    read = (await client.get(f"{path}/Ann B.")).json()
    assert read.pop("images") == [
        {"label": "front", "data": data_url("red")},
        {"label": "", "data": data_url("blue")},
    ]
    assert read == listed[0] | {"created_at": read["created_at"]}


async def test_saving_again_replaces(client: httpx.AsyncClient, path: str) -> None:
    await saved(client, path, "ann", "red", "blue")
    await saved(client, path, "ann", "green")
    read = (await client.get(f"{path}/ann")).json()
    assert [entry["data"] for entry in read["images"]] == [data_url("green")]


async def test_removing_before_adding(client: httpx.AsyncClient, path: str) -> None:
    await saved(client, path, "ann", "red", "blue", "green")
    patch = {"remove_indices": [0, 2], "add_images": [image("white", label="w")]}
    answer = await client.patch(f"{path}/ann", json=patch | {"description": "new"})
    assert answer.json() == {"ok": True, "name": "ann", "image_count": 2}
    read = (await client.get(f"{path}/ann")).json()
    assert [entry["label"] for entry in read["images"]] == ["blue", "w"]
    assert read["description"] == "new"
    answer = await client.patch(f"{path}/ann", json={"description": None})
    assert (await client.get(f"{path}/ann")).json()["description"] == "new"


@pytest.mark.parametrize(
    ("patch", "param"),
    [
        ({"remove_indices": [0, 1]}, "remove_indices"),
        ({"remove_indices": [2]}, "remove_indices"),
        ({"remove_indices": [-1]}, "remove_indices"),
        ({"remove_indices": [10**30]}, "remove_indices[0]"),
        ({"remove_indices": "x"}, "remove_indices"),
        ({"add_images": [{"data": "!"}]}, "add_images[0].data"),
        ({"add_images": [{}]}, "add_images[0].data"),
        ({"add_images": [image()] * 101}, None),
        ({"description": "x" * 10_001}, "description"),
        ({"description": "a\0b"}, "description"),
    ],
)
async def test_bad_patches_change_nothing(
    client: httpx.AsyncClient, path: str, patch: dict[str, Any], param: str | None
) -> None:
    await saved(client, path, "ann", "red", "blue")
    before = (await client.get(f"{path}/ann")).json()
    answer = await client.patch(f"{path}/ann", json=patch)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert (await client.get(f"{path}/ann")).json() == before


@pytest.mark.covers("CoderAI: character profiles")
async def test_deleting(client: httpx.AsyncClient, context: Context, path: str) -> None:
    await saved(client, path)
    assert (await client.delete(f"{path}/ann")).json() == {"ok": True, "name": "ann"}
    for method in ("GET", "DELETE", "PATCH"):
        answer = await client.request(method, f"{path}/ann", json={})
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"
    assert (await client.get(path)).json() == {path.rpartition("/")[2]: []}


async def test_an_image_that_is_shared_outlives_one_of_its_profiles(
    client: httpx.AsyncClient, path: str
) -> None:
    await saved(client, path, "ann")
    await saved(client, path, "eve")
    await client.delete(f"{path}/ann")
    assert (await client.get(f"{path}/eve")).json()["images"][0]["data"] == data_url("red")


async def test_bad_names_are_refused_by_every_verb(client: httpx.AsyncClient, path: str) -> None:
    for name in BAD_NAMES:
        for method in ("GET", "PATCH", "DELETE"):
            answer = await client.request(method, f"{path}/{escaped(name)}", json={})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name"), name
        for verb, fields in (
            ("", {"images": [image()]}),
            ("/generate", {"prompt": "x"}),
            ("/extract", {"images": [image()["data"]]}),
        ):
            answer = await client.post(f"{path}{verb}", json={"name": name} | fields)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name"), name


async def test_half_a_surrogate_is_refused(client: httpx.AsyncClient, path: str) -> None:
    for field in ("name", "description"):
        body = {"name": "a", "images": [image()], field: "\ud800"}
        content = json.dumps(body)
        answer = await client.post(
            path, content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == field


@pytest.mark.parametrize(
    ("images", "param"),
    [
        ([], "images"),
        (None, "images"),
        ("x", "images"),
        ([{}], "images[0].data"),
        ([image(), {"data": ""}], "images[1].data"),
        ([image(), {"data": "not base64!"}], "images[1].data"),
        ([{"data": base64.b64encode(b"RIFF\0\0\0\0WAVEfmt ").decode()}], "images[0].data"),
        ([{"data": base64.b64encode(png()[:-40]).decode()}], "images[0].data"),
        ([{"data": "http://127.0.0.1/x.png"}], "images[0].data"),
        ([{"data": "/etc/passwd"}], "images[0].data"),
        ([image(label="x" * 201)], "images[0].label"),
        ([image(label="a\0")], "images[0].label"),
    ],
)
async def test_bad_images(client: httpx.AsyncClient, path: str, images: Any, param: str) -> None:
    answer = await client.post(path, json={"name": "ann", "images": images})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert (await client.get(f"{path}/ann")).status_code == 404


async def test_an_image_with_too_many_pixels(make_context: MakeContext) -> None:
    async with client_of(make_context(limits={"image_pixels": 100})) as client:
        answer = await client.post("/v1/characters", json={"name": "a", "images": [image()]})
        claimed = base64.b64encode(claiming_png()).decode()
        body = {"name": "a", "images": [{"data": claimed}]}
        worse = await client.post("/v1/characters", json=body)
    for refused in (answer, worse):
        assert refused.status_code == 413
        assert refused.json()["error"]["param"] == "images[0].data"
    assert "40x20 has more than the allowed 100 pixels" in answer.json()["error"]["message"]


async def test_images_in_every_form(client: httpx.AsyncClient, path: str) -> None:
    upload = (await client.post("/v1/files/upload", content=png("red", (40, 20)))).json()
    images = [{"data": upload["id"]}, {"data": upload["url"]}, {"data": data_url()}]
    await client.post(path, json={"name": "ann", "images": images})
    read = (await client.get(f"{path}/ann")).json()
    assert [entry["data"] for entry in read["images"]] == [data_url()] * 3


async def test_read_by_all_and_changed_by_owner_and_admin(
    client: httpx.AsyncClient, path: str
) -> None:
    await saved(client, path)
    assert (await client.get(f"{path}/ann", headers=API)).status_code == 200
    body = {"name": "ann", "images": [image("blue")]}
    for answer in (
        await client.post(path, json=body, headers=API),
        await client.patch(f"{path}/ann", json={"description": "x"}, headers=API),
        await client.delete(f"{path}/ann", headers=API),
    ):
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "not_owner"
    assert (await client.get(f"{path}/ann")).json()["images"][0]["data"] == data_url("red")
    patch = {"description": "by an admin"}
    assert (await client.patch(f"{path}/ann", json=patch, headers=ADMIN)).status_code == 200
    assert (await client.patch(f"{path}/ann", json={"description": "mine"})).status_code == 200
    assert (await client.delete(f"{path}/ann", headers=ADMIN)).status_code == 200


async def test_patches_at_once_are_all_kept(client: httpx.AsyncClient, path: str) -> None:
    await saved(client, path)
    colors = ["blue", "green", "white", "black"]
    answers = await asyncio.gather(
        *(client.patch(f"{path}/ann", json={"add_images": [image(c)]}) for c in colors)
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    read = (await client.get(f"{path}/ann")).json()
    assert {entry["data"] for entry in read["images"]} == {data_url(c) for c in ["red", *colors]}


@pytest.mark.parametrize(
    "fields", [{"prompt": ""}, {"n": 9}, {"n": 0}, {"width": 63}, {"steps": "x"}, {"prompt": None}]
)
async def test_bad_generations(
    client: httpx.AsyncClient, path: str, fields: dict[str, Any]
) -> None:
    body = {"name": "ann", "prompt": "x"} | fields
    answer = await client.post(f"{path}/generate", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == next(iter(fields))


async def test_faces_are_cut_out_of_images(make_context: MakeContext, tmp_path: Path) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    faces = OpencvFaces(OpencvFacesOptions(), Model(id="opencv"), path=None, blobs=blobs)
    data = base64.b64encode(png_of(portrait((900, 600), (500, 100, 200)))).decode()
    body = {"name": "ann", "description": "tall", "images": [data, image()["data"]]}
    async with client_of(make_context(runs={"faces": faces})) as client:
        answer = await client.post("/v1/characters/extract", json=body)
        assert answer.json() == {"ok": True, "name": "ann", "image_count": 2}, answer.text
        read = (await client.get("/v1/characters/ann")).json()
        archived = (await client.get("/v1/archive")).json()
    assert read["description"] == "tall"
    face, whole = (
        Image.open(io.BytesIO(base64.b64decode(item["data"].partition(",")[2])))
        for item in read["images"]
    )
    assert face.width < 400
    assert whole.size == (40, 20)
    assert archived["files"] == []


async def test_extracting_characters_needs_an_engine_that_finds_faces(
    make_context: MakeContext,
) -> None:
    body = {"name": "ann", "images": [image()["data"]]}
    async with client_of(make_context(families=[])) as client:
        answer = await client.post("/v1/characters/extract", json=body)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"


@pytest.mark.parametrize("plural", PLURALS)
async def test_the_administration(client: httpx.AsyncClient, plural: str) -> None:
    await saved(client, f"/v1/{plural}", "ann", "red", "blue")
    admin = f"/admin/api/{plural}"
    own = (await client.get(f"/v1/{plural}")).json()
    assert (await client.get(admin, headers=ADMIN)).json() == own
    read = (await client.get(f"{admin}/ann", headers=ADMIN)).json()
    assert read == (await client.get(f"/v1/{plural}/ann")).json()
    thumbnail = await client.get(f"{admin}/ann/thumbnail", headers=ADMIN)
    assert thumbnail.content == png("red", (40, 20))
    assert thumbnail.headers["content-type"] == "image/png"
    for name in ("..%2fx", "x" * 10_000, "%00"):
        assert (await client.get(f"{admin}/{name}", headers=ADMIN)).status_code == 400
        bad = await client.get(f"{admin}/{name}/thumbnail", headers=ADMIN)
        assert bad.status_code == 400
    assert (await client.get(f"{admin}/eve/thumbnail", headers=ADMIN)).status_code == 404
    assert (await client.get(admin, headers=API)).json() == own, "read by every user"
    assert (await client.get(f"{admin}/ann/thumbnail", headers=API)).status_code == 200
    for method, route in (("GET", admin), ("GET", f"{admin}/ann"), ("DELETE", f"{admin}/ann")):
        assert (await client.request(method, route)).status_code == 401
    assert (await client.delete(f"{admin}/ann", headers=API)).status_code == 403
    deleted = await client.delete(f"{admin}/ann", headers=ADMIN)
    assert deleted.json() == {"ok": True, "name": "ann"}
    assert (await client.delete(f"{admin}/ann", headers=ADMIN)).status_code == 404


async def test_a_profile_may_be_called_as_the_last_part_of_another_route(
    client: httpx.AsyncClient, path: str
) -> None:
    for name in ("progress", "generate", "extract", "load"):
        await saved(client, path, name)
        answer = await client.get(f"{path}/{name}")
        assert (answer.status_code, answer.json().get("name")) == (200, name)
    assert (await client.get("/v1/files/progress")).json()["error"]["code"] == "not_found"
    assert (await client.get("/v1/models/progress")).json()["error"]["code"] == "model_not_found"
