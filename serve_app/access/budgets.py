"""Refuses work of tokens whose budget is used up, without asking the database for every request."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from serve_app.core.budget import AmountLimits, Budget
from serve_app.core.errors import BudgetExceeded, Unavailable
from serve_app.metering.usage_meter import UsageMeter

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
LOOK_FIRST_S = 4.0
"""Older knowledge than this is not used before a look."""
PATIENCE_S = 1.0
RETRY_AFTER_S = 5
FORGOTTEN_AFTER_S = 600.0
Period = Literal["day", "month"]


class Budgets:
    """Those of one replica. What others have used is known from the last look, which is made every
    two seconds while tokens with a budget are used; what this one has used is known at once.
    """

    def __init__(
        self,
        meter: UsageMeter,
        *,
        currency: str,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meter = meter
        self._currency = currency
        self._ticks = ticks
        self._asked_at: dict[int, float] = {}
        self._looked_at = -math.inf
        self._patient_from = -math.inf
        self._looking: asyncio.Task[None] | None = None

    async def check(self, token: int, budget: Budget) -> None:
        """BudgetExceeded when there is nothing left; Unavailable when that cannot be known."""
        self._asked_at[token] = self._ticks()
        await self._stay_fresh(token)
        month = self._meter.today()[:7]
        # The one that lasts longer has the say about when to come back.
        periods: tuple[tuple[Period, AmountLimits | None, str], ...] = (
            ("month", budget.month, f"{month}-01"),
            ("day", budget.day, self._meter.today()),
        )
        for period, limits, since in periods:
            reached = limits and limits.reached(self._meter.used(token, since))
            if reached:
                raise self._exceeded(*reached, period=period)

    def _exceeded(self, name: str, used: float, limit: float, *, period: Period) -> BudgetExceeded:
        now = self._meter.clock()
        resets_at = next_reset(now, period)
        unit = self._currency if name == "cost" else name.replace("_", " ")
        return BudgetExceeded(
            f"the budget of this token is used up: {used:,.6g} of {limit:,.6g} {unit} this "
            f"{period}",
            remedy=f"it resets at {datetime.fromtimestamp(resets_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
            retry_after_s=max(resets_at - now, 1.0),
        )

    async def _stay_fresh(self, token: int) -> None:
        age = self._ticks() - self._looked_at
        knows = self._meter.knows(token)
        if knows and age < LOOK_EVERY_S:
            return
        task = self._begin_look()
        if knows and (age < LOOK_FIRST_S or self._ticks() < self._patient_from):
            return
        await asyncio.wait({task}, timeout=PATIENCE_S)
        if not self._meter.knows(token) and task.done():
            # The look had begun before this token was asked about.
            task = self._begin_look()
            await asyncio.wait({task}, timeout=PATIENCE_S)
        if self._ticks() - self._looked_at >= LOOK_FIRST_S:
            self._patient_from = self._ticks() + LOOK_EVERY_S
        if not self._meter.knows(token):
            raise Unavailable(
                "the database does not respond, so this token's budget cannot be checked",
                remedy="try again",
                retry_after_s=RETRY_AFTER_S,
            )

    def _begin_look(self) -> "asyncio.Task[None]":
        """One at a time, however many ask for it."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())
        return self._looking

    async def _look(self) -> None:
        begun = self._ticks()
        oldest = begun - FORGOTTEN_AFTER_S
        self._asked_at = {token: at for token, at in self._asked_at.items() if at >= oldest}
        try:
            await self._meter.look(self._asked_at.keys())
        except (Unavailable, SQLAlchemyError) as error:
            logger.warning("what tokens have used could not be read: %s", error)
        else:
            self._looked_at = begun


def next_reset(now: float, period: Period) -> float:
    """The unix second at which a day or a month (UTC) ends."""
    at = datetime.fromtimestamp(now, UTC)
    if period == "day":
        return (now // 86_400 + 1) * 86_400
    year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
    return datetime(year, month, 1, tzinfo=UTC).timestamp()
