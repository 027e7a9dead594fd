"""What is used is written in batches, once, whatever becomes of the database meanwhile."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from typing_extensions import override

from serve_app.core.amounts import Amounts
from serve_app.core.prices import Price, Pricing, UsageSettings
from serve_app.database.connection import Database
from serve_app.database.schema import UsageRow
from serve_app.metering.usage_meter import UsageMeter, forget_batches
from serve_app.metering.usage_retention import UsageRetention
from serve_app.metering.usage_table import all_time
from tests.databases import on_both

T = TypeVar("T")
NOON = 1_767_182_400.0
"""2025-12-31T12:00:00Z."""
DAY_S = 86_400.0


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def meter_of(database: Database, clock: Clock | None = None, *prices: Price) -> UsageMeter:
    return UsageMeter(
        database, Pricing(prices), own_models={"echo", "org/eye"}, clock=clock or Clock()
    )


def said(prompt: int, completion: int) -> Amounts:
    return Amounts(requests=1, prompt_tokens=prompt, completion_tokens=completion)


async def rows(database: Database) -> list[tuple[str, int, str, str, str, int, int, int]]:
    def work(session: Session) -> list[tuple[str, int, str, str, str, int, int, int]]:
        return [
            (
                row.day,
                row.token,
                row.owner,
                row.model,
                row.provider,
                row.requests,
                row.prompt_tokens,
                row.completion_tokens,
            )
            for row in session.scalars(
                select(UsageRow).order_by(UsageRow.day, UsageRow.token, UsageRow.model)
            )
        ]

    return await database.read(work)


class Cut(Database):
    """A database whose connection breaks: before a transaction is committed, or after."""

    def __init__(self, url: str) -> None:
        super().__init__(url, patience_s=0)
        self.breaks_before = 0
        self.breaks_after = 0

    @override
    def _transaction(self, work: Callable[[Session], T], *, is_writing: bool) -> T:
        broken = OperationalError("", {}, Exception("connection lost"))
        if self.breaks_before:
            self.breaks_before -= 1
            raise broken
        found = super()._transaction(work, is_writing=is_writing)
        if self.breaks_after:
            self.breaks_after -= 1
            raise broken
        return found


@on_both
async def test_two_replicas_add_to_one_row(database: Database) -> None:
    meters = [meter_of(database), meter_of(database)]
    for turn in range(3):
        for meter in meters:
            meter.add(7, "ann", "echo", None, said(10, turn))
        assert all(await asyncio.gather(*(meter.flush() for meter in meters)))
    assert await rows(database) == [("2025-12-31", 7, "ann", "echo", "", 6, 60, 6)]
    assert (await database.read(all_time))["echo", ""].tokens == 66


@on_both
async def test_rows_differ_by_day_token_user_model_and_provider(database: Database) -> None:
    clock = Clock()
    meter = meter_of(database, clock)
    for token, owner, model in (
        (1, "ann", "echo"),
        (1, "bob", "echo"),
        (2, "ann", "org/eye"),
        (2, "ann", "openai/gpt-4o"),
        (2, "ann", "openrouter/openai/gpt-4o"),
    ):
        meter.add(token, owner, model, None, said(1, 1))
    meter.add(2, "ann", "echo", "given", said(1, 1))
    clock.now += DAY_S
    meter.add(0, "anonymous", "nul\0byte \ud800" + "x" * 400, None, said(1, 1))
    assert await meter.flush()
    found = await rows(database)
    assert [(row[0], row[1], row[3], row[4]) for row in found] == [
        ("2025-12-31", 1, "echo", ""),
        ("2025-12-31", 1, "echo", ""),
        ("2025-12-31", 2, "echo", "given"),
        ("2025-12-31", 2, "openai/gpt-4o", "openai"),
        ("2025-12-31", 2, "openrouter/openai/gpt-4o", "openrouter"),
        ("2025-12-31", 2, "org/eye", ""),
        ("2026-01-01", 0, ("nul\ufffdbyte ?" + "x" * 400)[:300], ""),
    ]


async def test_nothing_is_lost_while_the_database_is_away(database: Database) -> None:
    away = Cut(database.url)
    meter = meter_of(away)
    meter.add(1, "ann", "echo", None, said(1, 2))
    away.breaks_before = 1
    assert not await meter.flush()
    meter.add(1, "ann", "echo", None, said(10, 20))
    assert meter.used(1, "2025-12-31").tokens == 33
    assert await meter.flush()
    assert await meter.flush()
    assert await rows(database) == [("2025-12-31", 1, "ann", "echo", "", 2, 11, 22)]
    away.close(wait=True)


async def test_a_batch_whose_commit_was_not_heard_of_is_not_added_twice(
    database: Database,
) -> None:
    deaf = Cut(database.url)
    meter = meter_of(deaf)
    meter.add(1, "ann", "echo", None, said(1, 2))
    deaf.breaks_after = 1
    assert not await meter.flush()
    assert await meter.flush()
    assert await rows(database) == [("2025-12-31", 1, "ann", "echo", "", 1, 1, 2)]
    await database.write(forget_batches)
    meter.add(1, "ann", "echo", None, said(1, 2))
    assert await meter.flush()
    assert (await rows(database))[0][5:] == (2, 2, 4)
    deaf.close(wait=True)


async def test_what_a_token_has_used_everywhere_is_known_after_a_look(database: Database) -> None:
    clock = Clock()
    here, there = meter_of(database, clock), meter_of(database, clock)
    there.add(1, "ann", "echo", None, said(0, 100))
    await there.flush()
    assert not here.knows(1)
    here.add(1, "ann", "echo", None, said(0, 1))
    await here.look({1, 2})
    assert here.knows(1)
    assert here.used(1, here.today()).tokens == 101
    await here.flush()
    assert here.used(1, here.today()).tokens == 101
    assert here.used(2, here.today()).tokens == 0
    clock.now += DAY_S
    assert here.used(1, here.today()).tokens == 0


def test_prices_by_pattern() -> None:
    pricing = Pricing(
        [
            Price(model="openai/gpt-4o", prompt_tokens=2, cached_tokens=1, completion_tokens=10),
            Price(model="openai/*", prompt_tokens=1, image=0.5),
            Price(model="lights", video_second=0.25, audio_second=2),
        ]
    )
    used = Amounts(prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=100_000)
    assert pricing.cost("openai/gpt-4o", used) == pytest.approx(1.2 + 0.4 + 1.0)
    assert pricing.cost("openai/dall-e", Amounts(images=3)) == 1.5
    assert pricing.cost("openai/mini", used) == pytest.approx(1.0)
    assert pricing.cost("lights", Amounts(video_s=4, audio_s=1)) == 3
    assert pricing.cost("echo", used) == 0


@on_both
async def test_old_days_are_forgotten_and_their_sums_are_not(database: Database) -> None:
    """However many rows they have."""
    clock = Clock()
    meter = meter_of(database, clock)
    for _ in range(3):
        for token in range(3):
            meter.add(token, "ann", "echo", None, said(2, 1))
        await meter.flush()
        clock.now += 20 * DAY_S
    clock.now -= 20 * DAY_S
    await UsageRetention(database, UsageSettings(), clock).sweep()
    assert len(await rows(database)) == 9
    await UsageRetention(database, UsageSettings(keep_days=40), clock).sweep()
    assert len(await rows(database)) == 9
    await UsageRetention(database, UsageSettings(keep_days=39), clock, at_once=2).sweep()
    assert {row[0] for row in await rows(database)} == {"2026-01-20", "2026-02-09"}
    sums = await database.read(all_time)
    assert sums["echo", ""].requests == 9
    with pytest.raises(ValidationError):
        UsageSettings(keep_days=31)
