"""The keys of providers are nowhere but encrypted: not in answers, logs, captures or the database,
in whatever spelling.
"""

import json
import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import select

from serve_app.api.context import Context
from serve_app.core.jobs import Submission
from serve_app.core.message import Message
from serve_app.core.text.rerank import Rerank
from serve_app.core.upstreams.provider import (
    BedrockChange,
    KeyChange,
    NewProvider,
    ProviderChange,
)
from serve_app.database.connection import Database
from serve_app.database.schema import Table
from serve_app.observability.observability import Observability
from serve_app.observability.settings import from_environment
from serve_app.upstreams.providers import Providers
from serve_app.upstreams.sealing import KeyRing
from tests.api.conftest import MakeContext, client_of
from tests.databases import on_both
from tests.providers import BOSS, ENVIRONMENT, PROVIDERS, RING, bedrock, body

KEYS = [f"sk/{word}+geheim=Größe&{word}%{word}" for word in ("one", "two", "three", "four")]
ONE, TWO, THREE, FOUR = KEYS


def spellings(key: str) -> Iterator[bytes]:
    """How a key may stand somewhere."""
    raw = key.encode()
    yield from (raw, json.dumps(key)[1:-1].encode(), repr(key)[1:-1].encode(), raw.hex().encode())
    yield from (quote(key, safe="").encode(), quote(key).encode(), quote_plus(key).encode())
    for start in range(3):
        # Inside of a longer text, base64 begins and ends with bits of its neighbours.
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(bytes(start) + raw)[4:-4]


FORBIDDEN = [spelling for key in KEYS for spelling in spellings(key)]


def check(content: bytes, where: object) -> None:
    for spelling in FORBIDDEN:
        assert spelling not in content, (where, spelling)


@pytest.fixture
def context(make_context: MakeContext, database: Database, tmp_path: Path) -> Iterator[Context]:
    context = make_context(
        auth={"required": True},
        environment=ENVIRONMENT,
        limits={"rates": None},
        database_url=database.url,
    )
    observability = Observability(from_environment({"OBS_PAYLOAD": "1"}, tmp_path / "seen"))
    yield replace(context, observability=observability)
    observability.close()


def failing(context: Context) -> Context:
    """The same server, whose clock breaks."""

    def clock() -> float:
        raise RuntimeError("no time")

    ring = KeyRing([RING])
    return replace(context, providers=Providers(context.database, ring, clock=clock))


async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
    """Everything that can be done with keys, and everything that can go wrong with them."""
    answers = []

    async def send(method: str, path: str, **sent: Any) -> httpx.Response:
        answers.append(await client.request(method, f"{PROVIDERS}{path}", **sent))
        return answers[-1]

    first = await send("POST", "", json=body(api_keys=[ONE, TWO]))
    settings = bedrock(region="x", access_key=ONE, access_key_secret=TWO)
    await send("POST", "", json=body(name="rock", type="bedrock", settings=settings))
    await send("POST", "", json=body(api_keys=[THREE]))
    await send("POST", "", json=body(name="a", api_keys=[f" {ONE}", f"{TWO}\0", THREE * 999]))
    await send("POST", "", json=body(name="a", enabled=ONE, api_keys=[ONE, 5, [TWO]]))
    await send("POST", "", content=json.dumps(body(api_keys=[ONE])).encode()[:-1])
    await send("POST", "", json=body(name="a", base_url=f"https://me:{quote(ONE)}@example.com"))
    await send("POST", "", json=body(name="a", settings={"_type": "bedrock", "access_key": ONE}))
    keys = [{"id": first.json()["api_keys"][1]["id"]}, {"api_key": THREE}]
    await send("PATCH", "/mine", json={"api_keys": keys, "enabled": True})
    await send("PATCH", "/mine", json={"api_keys": [{"id": FOUR}, {"api_key": FOUR, "id": FOUR}]})
    await send("PATCH", "/mine", json={"api_keys": [{"api_key": FOUR}], "settings": settings})
    await send("PATCH", "/rock", json={"settings": settings | {"access_key": FOUR}})
    await send("PATCH", "/rock", json={"settings": settings | {"protocol": ONE}})
    await send("PATCH", "/mine", json={"icon": "x"}, headers={"If-Match": '"stale"'})
    for path in ("", "/mine", "/rock", "/nobody"):
        await send("GET", path)
    await send("DELETE", "/rock")
    return answers


@on_both
async def test_no_key_is_anywhere_but_encrypted(
    context: Context, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with caplog.at_level(logging.DEBUG, "sqlalchemy.engine"):
        async with client_of(context) as client:
            answers = await use_as_admin(client)
        async with client_of(failing(context)) as client:
            broken = await use_failing(client)
    assert {answer.status_code for answer in answers} == {200, 201, 204, 400, 404, 409, 412}
    assert {answer.status_code for answer in broken} == {500}
    for answer in (*answers, *broken):
        check(answer.content + repr(answer.headers.raw).encode(), answer.request.method)
    check(caplog.text.encode(), "logs")
    assert "no time" in caplog.text
    assert "INSERT INTO provider_secrets" in caplog.text
    context.observability.close()
    files = [file for file in (tmp_path / "seen").rglob("*") if file.is_file()]
    assert any(file.name.startswith("access-") for file in files)
    for file in [*files, *tmp_path.glob("*.sqlite*")]:
        check(file.read_bytes(), file.name)
    rows = await database.read(
        lambda session: [
            repr(tuple(row))
            for table in Table.metadata.sorted_tables
            for row in session.execute(select(table))
        ]
    )
    assert any("v1." in row for row in rows)
    check("\n".join(rows).encode(), "rows")
    check(repr(await context.providers.all()).encode(), "repr")


async def use_as_admin(client: httpx.AsyncClient) -> list[httpx.Response]:
    client.headers.update(BOSS)
    return await use(client)


async def use_failing(client: httpx.AsyncClient) -> list[httpx.Response]:
    """Each of them fails for a reason that nobody has foreseen."""
    client.headers.update(BOSS)
    answers = [
        await client.post(PROVIDERS, json=body(name="b", api_keys=[ONE, FOUR])),
        await client.patch(f"{PROVIDERS}/mine", json={"api_keys": [{"api_key": FOUR}]}),
    ]
    for answer in answers:
        assert answer.json() == {
            "message": "Internal error.",
            "detail": answer.headers["x-request-id"],
        }
    return answers


@on_both
async def test_records_of_jobs_know_nothing_of_providers(context: Context) -> None:
    async with client_of(context) as client:
        await use_as_admin(client)
    operation = Rerank(model="overlap", query="q", documents=("d",))
    await context.jobs.run(Submission(id="job-1", operation=operation, owner="me"), timeout_s=30)
    job = await context.job_store.get("job-1")
    check(repr(job).encode(), "job")


async def test_without_an_encryption_key_nothing_is_kept(context: Context) -> None:
    none = replace(context, providers=Providers(context.database, KeyRing([])))
    async with client_of(none) as client:
        client.headers.update(BOSS)
        answer = await client.post(PROVIDERS, json=body(api_keys=[ONE]))
        assert answer.status_code == 503
        assert "ENCRYPTION_KEYS" in answer.json()["message"]
        assert (await client.get(PROVIDERS)).json() == []
        assert (await client.post(PROVIDERS, json=body())).status_code == 201


async def test_secrets_of_a_lost_key_are_told(context: Context) -> None:
    async with client_of(context) as client:
        client.headers.update(BOSS)
        await client.post(PROVIDERS, json=body(api_keys=[ONE]))
    other = replace(context, providers=Providers(context.database, KeyRing([bytes(32)])))
    async with client_of(other) as client:
        client.headers.update(BOSS)
        (listed,) = (await client.get(PROVIDERS)).json()
        assert "cannot be decrypted" in listed["status"]["warnings"][0]
        sent = {"api_keys": [{"api_key": TWO}]}
        answer = await client.patch(f"{PROVIDERS}/mine", json=sent)
        assert (answer.status_code, "status" in answer.json()) == (200, False)


@pytest.mark.parametrize("kind", [NewProvider, ProviderChange, KeyChange, BedrockChange])
def test_a_message_that_is_wrong_shows_no_key(kind: type[Message]) -> None:
    """Not even one that nobody should be able to make."""
    wrong = {"api_keys": [ONE, 5], "api_key": [ONE], "access_key": [ONE], "other": ONE}
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(wrong)
    check(str(caught.value).encode() + repr(caught.value).encode(), kind)
