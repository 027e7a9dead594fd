"""In which order a change of a provider is checked, what it leaves as it was, and what these routes
say when the server cannot.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from serve_app.api.context import Context
from serve_app.database.connection import Database
from serve_app.upstreams.live import LiveProviders
from serve_app.upstreams.providers import Providers
from serve_app.upstreams.sealing import KeyRing
from tests.api.conftest import MakeContext, client_of
from tests.providers import (
    BOSS,
    ENVIRONMENT,
    FIRST,
    PROVIDERS,
    RING,
    SECOND,
    THIRD,
    bedrock,
    body,
    broken,
    created,
    refused,
)


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context(auth={"required": True}, environment=ENVIRONMENT, limits={"rates": None})


@pytest.fixture
async def admin(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        client.headers.update(BOSS)
        yield client
        await context.access.credentials.finish()


async def in_force(context: Context, name: str) -> dict[str, str]:
    """The credentials that the provider is called with."""
    known = await LiveProviders(context.database, KeyRing([RING])).by_name()
    return {key: secret.get_secret_value() for key, secret in known[name].credentials.items()}


async def test_credentials_of_settings_are_kept_rotated_and_cleared(
    admin: httpx.AsyncClient, context: Context
) -> None:
    """Absent, a value, and an empty text; none of them is in an answer."""
    given = {"access_key": FIRST, "access_key_secret": SECOND}
    await created(admin, type="bedrock", settings=bedrock(region="x", **given), enabled=True)
    expected: Mapping[str, str] = given
    for change, expected in (
        ({}, given),
        ({"access_key_secret": THIRD}, given | {"access_key_secret": THIRD}),
        ({"access_key": ""}, {"access_key_secret": THIRD}),
        ({"access_key": SECOND, "access_key_secret": ""}, {"access_key": SECOND}),
    ):
        sent = {"settings": bedrock(region="x", **change)}
        answer = await admin.patch(f"{PROVIDERS}/mine", json=sent)
        assert answer.status_code == 200, answer.text
        assert not {"access_key", "access_key_secret"} & answer.json()["settings"].keys()
        assert await in_force(context, "mine") == expected


async def test_the_order_of_the_checks_of_a_change(admin: httpx.AsyncClient) -> None:
    """Decoding, something to change, the rules of the fields, which provider, what comes of it."""
    await created(admin, type="anthropic", api_keys=[FIRST])
    wrong_rule = {"base_url": "x"}
    for name in ("Not a name", "nobody", "mine"):
        place = f"{PROVIDERS}/{name}"
        answer = await admin.patch(place, content=b'{"base_url": "x", ')
        assert refused(answer)["message"] == "Request body must be valid JSON."
        answer = await admin.patch(place, json={})
        assert refused(answer)["message"] == "At least one field must be provided."
        assert [field for field, _ in broken(await admin.patch(place, json=wrong_rule))] == [
            "base_url"
        ]
    merged: dict[str, Any] = {"settings": bedrock(region="x")}
    answer = await admin.patch(f"{PROVIDERS}/Not a name", json=merged)
    assert refused(answer)["message"] == "Invalid provider id or name"
    refused(await admin.patch(f"{PROVIDERS}/nobody", json=merged), 404)
    answer = await admin.patch(f"{PROVIDERS}/mine", json=merged)
    assert refused(answer)["message"] == "Bedrock providers do not accept api_keys."


async def test_of_a_change_that_fails_nothing_stays(admin: httpx.AsyncClient) -> None:
    made = await created(admin, type="anthropic", api_keys=[FIRST])
    sent = {
        "display_name": "another",
        "enabled": True,
        "api_keys": [{"api_key": SECOND}],
        "settings": bedrock(region="x"),
    }
    refused(await admin.patch(f"{PROVIDERS}/mine", json=sent))
    assert (await admin.get(f"{PROVIDERS}/mine")).json() == made
    stale = {"If-Match": '"stale"'}
    refused(await admin.patch(f"{PROVIDERS}/mine", json={"icon": "i"}, headers=stale), 412)
    assert (await admin.get(f"{PROVIDERS}/mine")).json() == made


async def test_the_name_of_a_provider_that_is_there_is_told_after_the_rules(
    admin: httpx.AsyncClient,
) -> None:
    await created(admin)
    assert [field for field, _ in broken(await admin.post(PROVIDERS, json=body(type="x")))] == [
        "type"
    ]
    many = body(name="other", api_keys=["k"] * 101)
    assert broken(await admin.post(PROVIDERS, json=many)) == [
        ("api_keys", "at most 100 api_keys are allowed")
    ]
    error = refused(await admin.post(PROVIDERS, json=body()), 409)
    assert "already exists" in error["message"]


async def test_too_many_requests_are_told_in_coders_words(make_context: MakeContext) -> None:
    once = {name: {"requests_per_minute": 1} for name in ("default", "read")}
    context = make_context(
        auth={"required": True}, environment=ENVIRONMENT, limits={"rates": {"admin": once}}
    )
    async with client_of(context) as client:
        client.headers.update(BOSS)
        answers = [await client.get(PROVIDERS) for _ in range(3)]
        await context.access.credentials.finish()
    late = [answer for answer in answers if answer.status_code == 429]
    assert late
    assert set(late[0].json()) <= {"message", "detail"}
    assert int(late[0].headers["retry-after"]) > 0


async def test_a_database_that_is_away_is_told_in_coders_words(context: Context) -> None:
    away = Database("sqlite:////nowhere/at/all.sqlite", patience_s=0.0)
    without = replace(context, providers=Providers(away, KeyRing([RING])))
    async with client_of(without) as client:
        client.headers.update(BOSS)
        for answer in (
            await client.get(PROVIDERS),
            await client.post(PROVIDERS, json=body()),
            await client.get(f"{PROVIDERS}/mine"),
            await client.patch(f"{PROVIDERS}/mine", json={"icon": "i"}),
            await client.delete(f"{PROVIDERS}/mine"),
        ):
            assert answer.status_code == 503, answer.text
            assert set(answer.json()) <= {"message", "detail"}
            assert answer.json()["message"]
        await context.access.credentials.finish()
    away.close()
