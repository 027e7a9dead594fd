"""Sums the counts of several ingress replicas through the database.

Each replica writes its whole tally every few seconds in which it has counted something, and reads
the others' when it is asked. Rows of replicas that are gone stay until the server starts again, so
that counters never run backwards. Switches that are thrown on one replica are seen by all.
"""

import json
import secrets
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from serve_app.database.connection import Database
from serve_app.database.schema import SettingRow

PREFIX = "observed:"
SWITCHES = "observed-switches"


def forget_counts(session: Session) -> None:
    """The server starts: counts and thrown switches of its last run are no longer true."""
    session.execute(delete(SettingRow).where(SettingRow.name.startswith(PREFIX, autoescape=True)))
    session.execute(delete(SettingRow).where(SettingRow.name == SWITCHES))


class SharedCounts:
    """The rows of all replicas, one of which is this one's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._name = PREFIX + secrets.token_hex(8)

    async def publish(self, tally: str) -> dict[str, bool]:
        """Write this replica's tally; the switches that were thrown anywhere."""

        def work(session: Session) -> dict[str, bool]:
            _put(session, self._name, tally)
            return _switches(session)

        return await self._database.write(work)

    async def others(self) -> list[str]:
        """The tallies of all other replicas."""

        def work(session: Session) -> list[str]:
            rows = session.scalars(
                select(SettingRow).where(SettingRow.name.startswith(PREFIX, autoescape=True))
            )
            return [row.value for row in rows if row.name != self._name]

        return await self._database.read(work)

    async def throw(self, key: str, value: bool) -> None:
        """Tell all replicas of a switch."""

        def work(session: Session) -> None:
            _put(session, SWITCHES, json.dumps(_switches(session) | {key: value}))

        await self._database.write(work)

    async def switches(self) -> dict[str, bool]:
        """Those that were thrown since the start."""
        return await self._database.read(_switches)


def _switches(session: Session) -> dict[str, bool]:
    row = session.get(SettingRow, SWITCHES, with_for_update=True)
    return {} if row is None else json.loads(row.value)


def _put(session: Session, name: str, value: Any) -> None:
    row = session.get(SettingRow, name)
    if row is None:
        session.add(SettingRow(name=name, value=value))
    else:
        row.value = value
