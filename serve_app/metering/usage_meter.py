"""`UsageMeter`: counts what the answers of this process use, and writes it a batch at a time, so
that no request waits for the database.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextvars import Context
from dataclasses import dataclass
from functools import partial

from sqlalchemy import delete
from sqlalchemy.orm import Session

from serve_app.core.amounts import LOCAL, Amounts
from serve_app.core.config import AppConfig
from serve_app.core.errors import AppError, Unavailable
from serve_app.core.prices import Pricing
from serve_app.core.upstreams.model_routes import upstream_model
from serve_app.database.connection import Database
from serve_app.database.schema import SettingRow
from serve_app.metering.usage_table import (
    UsageKey,
    add_usage,
    day_of,
    days_of_tokens,
    stored_model,
)
from serve_app.runtime.unexpected import unexpected_errors

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0
PAUSE_S = 5.0
"""After a batch that could not be written."""
DAY_S = 86_400
PREFIX = "metered:"
ByToken = dict[int, dict[UsageKey, Amounts]]
Account = tuple[str, int, str, str | None, str | None]


@dataclass(frozen=True)
class UsageBatch:
    """What is written in one transaction, which has a number: one whose end was not heard of is
    begun again, and must not be added twice.
    """

    number: int
    used: ByToken

    def rows(self) -> dict[UsageKey, Amounts]:
        """All of it."""
        return {key: each for keys in self.used.values() for key, each in keys.items()}


class UsageMeter:
    """The meter of one process. `own_models` are the ids of this server's models: another one's
    tells its provider. `clock` gives unix seconds.

    Of tokens that were looked at with `look`, it knows what they have used everywhere.
    """

    def __init__(
        self,
        database: Database,
        pricing: Pricing,
        *,
        own_models: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self._database = database
        self._pricing = pricing
        self._own_models = frozenset(own_models)
        self._name = PREFIX + secrets.token_hex(8)
        self._number = 0
        self._pending: ByToken = {}
        # The same sums by what callers say, for which a row need not be looked for.
        self._open: dict[Account, Amounts] = {}
        self._batch: UsageBatch | None = None
        self._known: dict[int, dict[str, Amounts]] = {}
        self._turn = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        self._today = ("", 0.0, 0.0)

    def add(
        self, token: int, owner: str, model: str | None, provider: str | None, amounts: Amounts
    ) -> None:
        """Count what a model was used for. Without a `provider`, the model's id says it."""
        amounts.cost = self._pricing.cost(model or "", amounts)
        account = (self.today(), token, owner, model, provider)
        known = self._open.get(account)
        if known is None:
            self._open[account] = known = self._entered(*account)
        known.add(amounts)

    def _entered(
        self, day: str, token: int, owner: str, model: str | None, provider: str | None
    ) -> Amounts:
        """The sum of a row that is to be written."""
        model = stored_model(model)
        if provider is None:
            upstream = None if model in self._own_models else upstream_model(model)
            provider = upstream.provider if upstream else LOCAL
        self._wake()
        keys = self._pending.setdefault(token, {})
        return keys.setdefault(UsageKey(day, token, owner, model, provider), Amounts())

    def today(self) -> str:
        """The day (UTC)."""
        day, begins, ends = self._today
        now = self.clock()
        if not begins <= now < ends:
            day, begins = day_of(now), now // DAY_S * DAY_S
            self._today = (day, begins, begins + DAY_S)
        return day

    def knows(self, token: int) -> bool:
        """Whether `look` has found out what a token has used."""
        return token in self._known

    def used(self, token: int, since: str) -> Amounts:
        """What a token has used from a day on: all that is written as of the last look, and what
        this process has yet to write.
        """
        whole = Amounts()
        for day, amounts in self._known.get(token, {}).items():
            if day >= since:
                whole.add(amounts)
        for key, amounts in self._unwritten(token):
            if key.day >= since:
                whole.add(amounts)
        return whole

    async def look(self, tokens: Collection[int]) -> None:
        """Read what tokens have used this month. Unavailable when the database is away."""
        since = f"{self.today()[:7]}-01"
        async with self._turn:
            found = await self._database.read(
                partial(days_of_tokens, tokens=list(tokens), since=since)
            )
            self._known = {token: found.get(token, {}) for token in tokens}

    async def flush(self) -> bool:
        """Write what is not written yet; False when it has to be tried again."""
        async with self._turn:
            if self._batch is None:
                if not self._pending:
                    return True
                self._number += 1
                self._batch, self._pending = UsageBatch(self._number, self._pending), {}
                self._open = {}
            try:
                with unexpected_errors("the record of usage"):
                    await self._database.write(partial(_write, name=self._name, batch=self._batch))
            except Unavailable as error:
                logger.warning("usage is not recorded yet: %s", error.message)
                return False
            except AppError:
                # It would fail again, and with it all that comes later; the log has it.
                logger.error("usage is lost: %s", self._batch.rows())
            self._note_written(self._batch)
            self._batch = None
            return True

    def _note_written(self, batch: UsageBatch) -> None:
        for token in batch.used.keys() & self._known.keys():
            days = self._known[token]
            for key, amounts in batch.used[token].items():
                days.setdefault(key.day, Amounts()).add(amounts)

    def _unwritten(self, token: int) -> Iterator[tuple[UsageKey, Amounts]]:
        yield from self._pending.get(token, {}).items()
        if self._batch is not None:
            yield from self._batch.used.get(token, {}).items()

    def _wake(self) -> None:
        if self._writing is None or self._writing.done():
            # In no context of a request: it would keep what belongs to that one alive.
            self._writing = asyncio.get_running_loop().create_task(
                self._keep_writing(), context=Context()
            )

    async def _keep_writing(self) -> None:
        pause_s = WRITE_EVERY_S
        while self._pending or self._batch is not None:
            await asyncio.sleep(pause_s)
            pause_s = WRITE_EVERY_S if await self.flush() else PAUSE_S


def usage_meter(config: AppConfig, database: Database) -> UsageMeter:
    """The meter of a process, with the configured prices."""
    own = {model.id for family in config.families for model in family.models}
    return UsageMeter(database, Pricing(config.usage.prices), own_models=own)


def forget_batches(session: Session) -> None:
    """The server starts: no process of its last run writes any more."""
    session.execute(delete(SettingRow).where(SettingRow.name.startswith(PREFIX, autoescape=True)))


def _write(session: Session, name: str, batch: UsageBatch) -> None:
    row = session.get(SettingRow, name, with_for_update=True)
    if row is None:
        session.add(SettingRow(name=name, value=batch.number))
    elif row.value >= batch.number:
        return
    else:
        row.value = batch.number
    add_usage(session, batch.rows())
