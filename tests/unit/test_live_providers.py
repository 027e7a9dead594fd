"""Every replica knows within five seconds what another has changed, on both databases."""

import asyncio
from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from serve_app.access.tokens import Principal
from serve_app.core.errors import Unavailable
from serve_app.core.upstreams.provider import NewProvider, ProviderChange
from serve_app.database.connection import Database
from serve_app.upstreams.live import LOOK_EVERY_S, LOOK_FIRST_S, LiveProvider, LiveProviders
from serve_app.upstreams.providers import Providers
from serve_app.upstreams.sealing import KeyRing
from tests.databases import on_both
from tests.providers import FIRST, RING, SECOND

BY = Principal("ann", frozenset({"admin"}))


class Ticks:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def new(name: str, **fields: object) -> NewProvider:
    sent = {"type": "openai", "base_url": "https://a.example", "enabled": True} | fields
    return NewProvider.model_validate(sent | {"name": name})


def secrets(known: Mapping[str, LiveProvider]) -> dict[str, list[str]]:
    return {
        name: [secret.get_secret_value() for _, secret in live.keys] for name, live in known.items()
    }


@on_both
async def test_a_change_is_seen_by_other_replicas(database: Database) -> None:
    here, ticks = Providers(database, KeyRing([RING])), Ticks()
    there = LiveProviders(database, KeyRing([RING]), ticks=ticks)
    assert await there.by_name() == {}
    await here.create(new("b", api_keys=(FIRST, SECOND)), by=BY)
    await here.create(new("off", enabled=False, api_keys=(FIRST,)), by=BY)
    assert await there.by_name() == {}
    ticks.now += LOOK_FIRST_S
    assert secrets(await there.by_name()) == {"b": [FIRST, SECOND]}
    await here.change(
        "b", ProviderChange.model_validate({"api_keys": [{"api_key": SECOND}]}), by=BY
    )
    await here.change("off", ProviderChange(enabled=True), by=BY)
    # In between the first caller does not wait for the look that it has begun.
    ticks.now += LOOK_EVERY_S
    assert secrets(await there.by_name()) == {"b": [FIRST, SECOND]}
    await asyncio.gather(there.refresh(), there.refresh())
    assert secrets(await there.by_name()) == {"b": [SECOND], "off": [FIRST]}
    await here.delete("b", by=BY)
    ticks.now += LOOK_FIRST_S
    assert secrets(await there.by_name()) == {"off": [FIRST]}


@on_both
async def test_credentials_are_live_too_and_shown_to_nobody(database: Database) -> None:
    here = Providers(database, KeyRing([RING]))
    settings = {"region": "x", "access_key": FIRST}
    await here.create(new("rock", type="bedrock", settings=settings), by=BY)
    known = await LiveProviders(database, KeyRing([RING])).by_name()
    assert known["rock"].credentials == {"access_key": SecretStr(FIRST)}
    assert FIRST not in repr(known)


async def test_what_cannot_be_decrypted_is_left_out(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await Providers(database, KeyRing([RING])).create(new("lost", api_keys=(FIRST,)), by=BY)
    await Providers(database, KeyRing([bytes(32)])).create(new("kept", api_keys=(SECOND,)), by=BY)
    known = await LiveProviders(database, KeyRing([bytes(32)])).by_name()
    assert secrets(known) == {"kept": [SECOND]}
    assert "'lost' cannot be decrypted" in caplog.text


async def test_while_the_database_is_away_what_is_known_stays_in_force(database: Database) -> None:
    ring, ticks = KeyRing([RING]), Ticks()
    await Providers(database, ring).create(new("a", api_keys=(FIRST,)), by=BY)
    live = LiveProviders(database, ring, ticks=ticks)
    known = await live.by_name()
    away = Database("sqlite:////nowhere/at/all.sqlite", patience_s=0.0)
    live._database = away
    ticks.now += LOOK_FIRST_S
    assert await live.by_name() is known
    with pytest.raises(Unavailable):
        await LiveProviders(away, ring).by_name()
    away.close()
