"""Deletes what was used on days that are too old. The sums of all days are in a table of their own
and stay.
"""

import time
from collections.abc import Callable
from functools import partial

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from serve_app.core.prices import UsageSettings
from serve_app.database.connection import Database
from serve_app.database.schema import UsageRow
from serve_app.metering.usage_table import day_of

DAY_S = 86_400.0
AT_ONCE = 1000
"""Rows of one transaction, so that nobody waits long for it."""


class UsageRetention:
    """`clock` gives unix seconds. `at_once` rows are deleted in one transaction."""

    def __init__(
        self,
        database: Database,
        settings: UsageSettings,
        clock: Callable[[], float] = time.time,
        *,
        at_once: int = AT_ONCE,
    ) -> None:
        self._database = database
        self._keep_days = settings.keep_days
        self._clock = clock
        self._at_once = at_once

    async def sweep(self) -> None:
        """All days that are due."""
        if self._keep_days is None:
            return
        first = day_of(self._clock() - self._keep_days * DAY_S)
        forget = partial(_forget_before, first=first, at_once=self._at_once)
        while await self._database.write(forget):
            pass


def _forget_before(session: Session, first: str, at_once: int) -> bool:
    """Whether there may be more."""
    key = list(UsageRow.__table__.primary_key.columns)  # type: ignore[attr-defined]
    old = session.execute(select(*key).where(UsageRow.day < first).limit(at_once)).all()
    if old:
        session.execute(delete(UsageRow).where(tuple_(*key).in_([tuple(row) for row in old])))
    return len(old) == at_once
