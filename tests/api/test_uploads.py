"""Uploads over HTTP: whose they are, who may delete them, what counts as a use, full disks."""

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from serve_app.api.context import Context
from serve_app.database.schema import BlobReferenceRow
from tests.api.conftest import MakeContext, client_of
from tests.images import png
from tests.material import silence, wav

TOKENS = {"ADMIN_TOKEN": "sk-admin"}
ADMIN = {"Authorization": "Bearer sk-admin"}
IMAGE = png(size=(64, 64))
NAME = f"up-{hashlib.sha256(IMAGE).hexdigest()}.png"
PATH = f"/v1/files/{NAME}"
DAY_S = 86_400.0


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context(auth={"required": True}, environment=TOKENS)


async def token_of(client: httpx.AsyncClient, user: str) -> dict[str, str]:
    """The credential of a user of this name."""
    password = "correct horse battery"
    made = await client.post(
        "/admin/api/users", json={"username": user, "password": password}, headers=ADMIN
    )
    assert made.status_code in (200, 201), made.text
    body = {"name": user, "user": user, "scopes": ["inference"]}
    answer = await client.post("/admin/api/tokens", json=body, headers=ADMIN)
    assert answer.status_code in (200, 201), answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def upload(
    client: httpx.AsyncClient, headers: dict[str, str], data: bytes = IMAGE
) -> httpx.Response:
    return await client.post("/v1/files/upload", content=data, headers=headers)


def refused(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    return str(error["message"])


async def test_an_upload_is_its_owners_to_delete(context: Context) -> None:
    async with client_of(context) as client:
        ann, ben = [await token_of(client, user) for user in ("ann", "ben")]
        assert (await upload(client, ann)).status_code == 200
        assert (await client.get(PATH, headers=ben)).status_code == 200
        others = refused(await client.delete(PATH, headers=ben), 404, "not_found")
        unknown = PATH.replace(NAME[3:6], "000")
        nothing = refused(await client.delete(unknown, headers=ben), 404, "not_found")
        assert others == nothing.replace(unknown[10:], NAME)
        assert (await client.delete(PATH)).status_code == 401
        answer = await client.delete(PATH, headers=ann)
        assert (answer.status_code, answer.json()) == (200, {"deleted": NAME})
        assert (await client.get(PATH, headers=ann)).status_code == 404
        refused(await client.delete(PATH, headers=ann), 404, "not_found")


async def test_an_admin_deletes_everybodys(context: Context) -> None:
    async with client_of(context) as client:
        for user in ("ann", "ben"):
            await upload(client, await token_of(client, user))
        assert (await client.delete(PATH, headers=ADMIN)).status_code == 200
        assert (await client.get(PATH, headers=ADMIN)).status_code == 404


async def test_an_upload_that_another_has_too_stays_for_them(context: Context) -> None:
    async with client_of(context) as client:
        ann, ben = [await token_of(client, user) for user in ("ann", "ben")]
        for user in (ann, ben):
            await upload(client, user)
        assert (await client.delete(PATH, headers=ann)).status_code == 200
        assert (await client.get(PATH, headers=ben)).content == IMAGE
        assert (await client.delete(PATH, headers=ben)).status_code == 200
        assert (await client.get(PATH, headers=ben)).status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "nope.png",
        NAME.replace(".png", ".jpg"),
        NAME.removesuffix(".png"),
        NAME.replace("png", "*"),
        "..%2fx.png",
        "a%00b",
        "x" * 5000,
        "blob",
    ],
)
async def test_only_names_of_uploads_are_deleted(client: httpx.AsyncClient, name: str) -> None:
    await upload(client, {})
    refused(await client.delete(f"/v1/files/{name}"), 404, "not_found")
    assert (await client.get(PATH)).status_code == 200


async def test_what_was_generated_is_no_upload(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/images/generations", json={"prompt": "a cat"})
    url = made.json()["data"][0]["url"]
    assert "archive" in refused(await client.delete(url), 404, "not_found")
    assert (await client.get(url)).status_code == 200


async def test_what_a_job_or_a_profile_holds_stays_for_them(client: httpx.AsyncClient) -> None:
    await upload(client, {})
    drawn = await client.post(
        "/v1/images/edits", json={"prompt": "a cat", "image": PATH, "ref_id": "mine"}
    )
    assert drawn.status_code == 200, drawn.text
    assert (await client.delete(PATH)).status_code == 200
    assert (await client.get(PATH)).content == IMAGE, "the job has it"
    audio = wav(silence(2))
    url = (await upload(client, {}, audio)).json()["url"]
    made = await client.post("/v1/audio/voices", json={"name": "v", "audio": url})
    assert made.status_code in (200, 201), made.text
    assert (await client.delete(url)).status_code == 200
    assert (await client.get(url)).content == audio, "the voice has it"
    assert (await client.delete("/v1/audio/voices/v")).status_code == 200
    assert (await client.get(url)).status_code == 404


async def used_at(context: Context) -> float | None:
    wanted = select(BlobReferenceRow.used_at).where(BlobReferenceRow.holder == "upload:anonymous")
    return await context.database.read(lambda session: session.scalar(wanted))


@pytest.mark.parametrize("use", ["get", "range", "head", "url", "hash", "form"])
async def test_downloads_and_being_named_are_uses(make_context: MakeContext, use: str) -> None:
    context = make_context()
    async with client_of(context) as client:
        await upload(client, {})
        now = await used_at(context)
        assert now is not None
        long_ago = update(BlobReferenceRow).values(used_at=now - 6 * DAY_S)
        await context.database.write(lambda session: session.execute(long_ago))
        digest = NAME[3:67]
        match use:
            case "get":
                await client.get(PATH)
            case "range":
                await client.get(PATH, headers={"Range": "bytes=0-1"})
            case "head":
                await client.head(PATH)
            case "url":
                body = {"image": f"http://127.0.0.1:8000{PATH}"}
                await client.post("/v1/images/depth", json=body)
            case "hash":
                await client.post("/v1/images/depth", json={"image": f"sha256:{digest}"})
            case "form":
                data = {"image": PATH, "prompt": "a cat"}
                await client.post("/v1/images/edits", data=data)
        if use == "head":
            assert await used_at(context) == now - 6 * DAY_S, "a HEAD takes nothing"
            return
        async with asyncio.timeout(60):
            while await used_at(context) == now - 6 * DAY_S:
                await asyncio.sleep(0.02)
        noted = await used_at(context)
        assert noted is not None
        assert noted >= now


async def test_uploads_count_as_requests_and_not_as_reading(make_context: MakeContext) -> None:
    rates = {"default": {"requests_per_minute": 2}, "read": {"requests_per_minute": 50}}
    context = make_context(
        auth={"required": True}, environment=TOKENS, limits={"rates": {"admin": rates}}
    )
    async with client_of(context) as client:
        answer = await upload(client, ADMIN)
        assert answer.headers["x-ratelimit-limit"] == "2"
        for _ in range(5):
            answer = await client.get(PATH, headers=ADMIN)
            assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "50")
            answer = await client.head(PATH, headers=ADMIN)
            assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "50")
        answer = await client.delete(PATH, headers=ADMIN)
        assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "2")
        refused(await upload(client, ADMIN), 429, "rate_limit_exceeded")


async def test_a_quota_names_what_is_used_up(make_context: MakeContext) -> None:
    size = len(IMAGE)
    context = make_context(limits={"upload_quota_bytes": size + 10})
    other = png("blue", size=(65, 64))
    async with client_of(context) as client:
        for _ in range(2):
            assert (await upload(client, {})).status_code == 200
        answer = await upload(client, {}, other)
        message = refused(answer, 413, "payload_too_large")
        assert answer.json()["error"]["param"] == "file"
        assert f"{size + 10} bytes" in message
        assert f"{size} are in use" in message
        digest = hashlib.sha256(other).hexdigest()
        assert (await client.get(f"/v1/files/blob/{digest}")).status_code == 404
        assert (await client.delete(PATH)).status_code == 200
        assert (await upload(client, {}, other)).status_code == 200


def fill(folder: Path) -> Path:
    """Take what is left of a small disk, to the last byte."""
    path = folder / "filled"
    with path.open("wb", buffering=0) as file:
        for size in (1024, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    return path


async def test_a_full_store_is_told_and_nothing_is_lost(
    make_context: MakeContext, small_disk: Path
) -> None:
    async with client_of(make_context()) as client:
        assert (await upload(client, {})).status_code == 200
        large = wav(silence(120))
        for form in (False, True):
            if form:
                files = {"file": ("a.wav", large)}
                answer = await client.post("/v1/files/upload", files=files)
            else:
                answer = await upload(client, {}, large)
            assert "full" in refused(answer, 503, "backend_unavailable")
            assert answer.headers["x-should-retry"] == "false"
        filled = fill(small_disk)
        answer = await upload(client, {}, wav(silence(1)))
        assert "full" in refused(answer, 503, "backend_unavailable")
        left = {path.name for path in small_disk.rglob("*") if path.is_file()}
        assert left == {NAME.removeprefix("up-"), "filled"}
        assert (await client.get(PATH)).content == IMAGE
        filled.unlink()
        assert (await upload(client, {}, wav(silence(1)))).status_code == 200


async def test_a_store_that_fills_its_disk_leaves_room_to_delete(
    make_context: MakeContext, small_disk: Path, migrated: Path
) -> None:
    """The database lies on the same disk, as it does by default."""
    place = {"data_dir": str(small_disk)}
    database = f"sqlite:///{small_disk / 'polyphony.sqlite'}"
    (small_disk / "polyphony.sqlite").write_bytes(migrated.read_bytes())
    context = make_context(storage=place, database_url=database)
    async with client_of(context) as client:
        urls = []
        for seconds in range(1, 200):
            answer = await upload(client, {}, wav(silence(seconds / 10)))
            if answer.status_code != 200:
                break
            urls.append(answer.json()["url"])
        assert "full" in refused(answer, 503, "backend_unavailable")
        for url in urls:
            assert (await client.delete(url)).status_code == 200
        assert (await upload(client, {})).status_code == 200


async def test_a_database_on_a_full_disk_is_told(
    make_context: MakeContext, small_database_disk: Path, migrated: Path
) -> None:
    file = small_database_disk / "polyphony.sqlite"
    file.write_bytes(migrated.read_bytes())
    context = make_context(database_url=f"sqlite:///{file}")
    async with client_of(context) as client:
        assert (await upload(client, {})).status_code == 200
        filled = fill(small_database_disk)
        statuses = set()
        for number in range(1, 30):
            answer = await upload(client, {}, png(size=(64, 64 + number)))
            statuses.add(answer.status_code)
            if answer.status_code != 200:
                message = refused(answer, 503, "backend_unavailable")
                assert "disk of the database is full" in message
                digest = hashlib.sha256(png(size=(64, 64 + number))).hexdigest()
                assert (await client.get(f"/v1/files/blob/{digest}")).status_code == 404
        assert 503 in statuses
        assert (await client.get(PATH)).content == IMAGE
        filled.unlink()
        assert (await upload(client, {}, png(size=(200, 64)))).status_code == 200
