"""What a credential has set is known at once where it was set, and in time everywhere else."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from serve_app.access.credential_settings import KEPT_S, MOST_KEPT, CredentialSettings
from serve_app.core.errors import ModelNotFound
from serve_app.database.connection import Database
from tests.databases import on_both


class Ticks:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def value(**fields: Any) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    return lambda before: {**before, **fields}


@on_both
async def test_a_change_is_known_at_once_here_and_in_time_elsewhere(database: Database) -> None:
    ticks = Ticks()
    here, there = (CredentialSettings(database, is_alone=True, ticks=ticks) for _ in range(2))
    assert await here.read("a") == await there.read("a") == {}
    await here.change("a", value(x=1))
    await here.change("a", value(y=2))
    assert await here.read("a") == {"x": 1, "y": 2}
    assert await there.read("a") == await here.read("b") == {}
    ticks.now += KEPT_S
    assert await there.read("a") == {"x": 1, "y": 2}


async def test_what_is_known_is_not_read_again(database: Database) -> None:
    settings = CredentialSettings(database, is_alone=True, ticks=Ticks())
    await settings.change("a", value(x=1))
    assert await settings.read("a") == {"x": 1}
    database.close(wait=True)
    assert await settings.read("a") == {"x": 1}


async def test_one_of_several_replicas_reads_every_time(database: Database) -> None:
    here, there = (CredentialSettings(database, is_alone=False, ticks=Ticks()) for _ in range(2))
    assert await there.read("a") == {}
    await here.change("a", value(x=1))
    assert await there.read("a") == {"x": 1}


async def test_what_was_read_before_a_change_is_not_kept(database: Database) -> None:
    settings = CredentialSettings(database, is_alone=True, ticks=Ticks())
    reads = [asyncio.create_task(settings.read("a")) for _ in range(4)]
    await asyncio.gather(settings.change("a", value(x=1)), settings.change("a", value(y=1)), *reads)
    assert await settings.read("a") == {"x": 1, "y": 1}


async def test_a_refused_change_changes_nothing(database: Database) -> None:
    def refuse(_: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ModelNotFound("no such model")

    settings = CredentialSettings(database, is_alone=True, ticks=Ticks())
    await settings.change("a", value(x=1))
    with pytest.raises(ModelNotFound):
        await settings.change("a", refuse)
    assert await settings.read("a") == {"x": 1}


async def test_memory_is_limited(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_KEPT <= 100_000
    monkeypatch.setattr("serve_app.access.credential_settings.MOST_KEPT", 2)
    settings = CredentialSettings(database, is_alone=True, ticks=Ticks())
    for name in "abcab":
        assert await settings.read(name) == {}
