"""Who is taken for dead: by the kernel on the own host, by the lease on others."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from serve_app.core.errors import Unavailable
from serve_app.database.connection import Database
from serve_app.database.schema import ExecutorRow
from serve_app.jobs.leases import LEASE_S, Leases, process_name


@dataclass
class Clock:
    """One machine's, which the test moves."""

    now: float

    def __call__(self) -> float:
        return self.now


class Node:
    """An executor on a machine of its own."""

    def __init__(self, database: Database, name: str, *, unix_s: float = 1e9) -> None:
        self.clock, self.ticks = Clock(unix_s), Clock(0.0)
        self.leases = Leases(database, name, host=name, clock=self.clock, ticks=self.ticks)

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.ticks.now += seconds


async def passed(seconds: int, *nodes: Node, each_s: Callable[[], Awaitable[object]]) -> None:
    for _ in range(seconds):
        for node in nodes:
            node.wait(1)
        await each_s()


async def test_an_executor_elsewhere_is_dead_when_it_renews_no_more(database: Database) -> None:
    one, other = Node(database, "one"), Node(database, "other")
    await other.leases.renew()
    assert await one.leases.dead() == ()
    await passed(int(LEASE_S) - 1, one, each_s=one.leases.dead)
    assert await one.leases.dead() == ()
    one.wait(1)
    assert await one.leases.dead() == ("other",)
    await one.leases.forget("other")
    assert await one.leases.dead() == ()


async def test_clocks_of_machines_may_differ(database: Database) -> None:
    late, early = Node(database, "late", unix_s=1e9), Node(database, "early", unix_s=1e9 + 60)

    async def live() -> None:
        await asyncio.gather(late.leases.renew(), early.leases.renew())
        assert await late.leases.dead() == ()
        assert await early.leases.dead() == ()

    await passed(2 * int(LEASE_S), late, early, each_s=live)


async def test_nobody_is_dead_because_the_database_was_away(database: Database) -> None:
    one, other = Node(database, "one"), Node(database, "other")
    await other.leases.renew()
    assert await one.leases.dead() == ()

    async def away(work: object) -> object:
        raise Unavailable("the database does not answer")

    read, database.read = database.read, away  # type: ignore[method-assign, assignment]
    one.wait(3 * LEASE_S)
    with pytest.raises(Unavailable):
        await one.leases.dead()
    database.read = read  # type: ignore[method-assign]
    assert await one.leases.dead() == ()
    await other.leases.renew()
    one.wait(1)
    assert await one.leases.dead() == ()


async def test_on_the_own_host_the_kernel_knows_at_once(database: Database) -> None:
    leases = Leases(database, "me", host="here")
    with subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE) as process:
        name = process_name(process.pid)
        row = ExecutorRow(id="child", host="here", process=name, seen_at=0.0)
        await database.write(lambda session: session.add(row))
        assert await leases.dead() == ()
    assert await leases.dead() == ("child",)
