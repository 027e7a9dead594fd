"""`CredentialSettings`: what credentials have set for their later calls. It is kept in the database
and outlives the server; a replica that is the only one reads it there now and then.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from serve_app.database.connection import Database
from serve_app.database.schema import SettingRow

KEPT_S = 4.0
"""In memory, without a look: while a server is replaced by a new one, there are two for a while."""
MOST_KEPT = 10_000
Setting = Mapping[str, Any]


@dataclass(frozen=True)
class KeptSetting:
    """As it was read."""

    value: Setting
    read_at: float


class CredentialSettings:
    """By the names of their rows. Where there are several replicas, every read is one of the
    database: who sets something may be answered by another replica in the next instant. `ticks`
    gives seconds that never go back.
    """

    def __init__(
        self, database: Database, *, is_alone: bool, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._kept_s = KEPT_S if is_alone else 0.0
        self._ticks = ticks
        self._kept: dict[str, KeptSetting] = {}
        self._changes = 0

    async def read(self, name: str) -> Setting:
        """What is set, empty where nothing is."""
        now, changes = self._ticks(), self._changes
        known = self._kept.get(name)
        if known is not None and now - known.read_at < self._kept_s:
            return known.value
        value = await self._database.read(partial(_read, name=name))
        if self._kept_s and changes == self._changes:
            # Else it may be older than a change that has ended meanwhile.
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name] = KeptSetting(value, now)
        return value

    async def change(self, name: str, changed: Callable[[Setting], Setting]) -> None:
        """Set what `changed` makes of what is set; it may be asked several times."""
        write = partial(_write, name=name, changed=changed)
        try:
            try:
                await self._database.write(write)
            except IntegrityError:
                # Another call of the same credential was the first in the same instant.
                await self._database.write(write)
        finally:
            self._changes += 1
            self._kept.pop(name, None)


def _read(session: Session, *, name: str) -> Setting:
    return _value(session.get(SettingRow, name))


def _write(session: Session, *, name: str, changed: Callable[[Setting], Setting]) -> None:
    row = session.get(SettingRow, name, with_for_update=True)
    value = dict(changed(_value(row)))
    if row is None:
        session.add(SettingRow(name=name, value=value))
    else:
        row.value = value


def _value(row: SettingRow | None) -> Setting:
    value = None if row is None else row.value
    return value if isinstance(value, Mapping) else {}
