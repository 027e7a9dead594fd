"""The tables of what was used. Sums are added to in SQL, so that any number of processes may add to
one row.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Table as SqlTable
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from serve_app.core.amounts import AMOUNTS, Amounts, Ran
from serve_app.database.schema import UsageRow, UsageTotalRow
from serve_app.database.text import storable

MODEL_CHARACTERS = 300


class UsageKey(NamedTuple):
    """One row: in the order of which rows are written, so that two writers never wait for each
    other.
    """

    day: str
    token: int
    owner: str
    model: str
    provider: str

    @property
    def ran(self) -> Ran:
        """The model and its provider."""
        return self.model, self.provider


def day_of(at: float) -> str:
    """The day (UTC) of a unix second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def stored_model(model: str | None) -> str:
    """The id of a model as a row has it; upstream ids are whatever a client has named."""
    return storable((model or "")[:MODEL_CHARACTERS])


def add_usage(session: Session, used: Mapping[UsageKey, Amounts]) -> None:
    """Add to the rows, and to those of all days and callers."""
    totals: dict[Ran, Amounts] = {}
    for key, amounts in used.items():
        totals.setdefault(key.ran, Amounts()).add(amounts)
    rows = [{**key._asdict(), **_columns(used[key])} for key in sorted(used)]
    _add(session, UsageRow.__table__, rows)  # type: ignore[arg-type]
    _add(
        session,
        UsageTotalRow.__table__,  # type: ignore[arg-type]
        [
            {"model": ran[0], "provider": ran[1], **_columns(amounts)}
            for ran, amounts in sorted(totals.items(), key=lambda item: item[0])
        ],
    )


def all_time(session: Session) -> dict[Ran, Amounts]:
    """The sums of every model since the first day."""
    rows = session.scalars(select(UsageTotalRow))
    return {(row.model, row.provider): amounts_in(row) for row in rows}


def days_of_tokens(
    session: Session, tokens: Iterable[int], since: str
) -> dict[int, dict[str, Amounts]]:
    """What tokens have used on each day from `since` on."""
    sums = [func.sum(getattr(UsageRow, name)) for name in AMOUNTS]
    chosen = (
        select(UsageRow.token, UsageRow.day, *sums)
        .where(UsageRow.token.in_(list(tokens)), UsageRow.day >= since)
        .group_by(UsageRow.token, UsageRow.day)
    )
    found: dict[int, dict[str, Amounts]] = {}
    for token, day, *values in session.execute(chosen):
        found.setdefault(token, {})[day] = summed(values)
    return found


def summed(values: Iterable[float | None]) -> Amounts:
    """Sums in the order of `AMOUNTS`; of integers, Postgres gives decimals."""
    amounts = Amounts()
    for name, value in zip(AMOUNTS, values, strict=True):
        setattr(amounts, name, type(getattr(amounts, name))(value or 0))
    return amounts


def amounts_in(row: UsageRow | UsageTotalRow) -> Amounts:
    """The sums of a row."""
    return Amounts(**_columns(row))  # type: ignore[arg-type]


def _columns(source: Amounts | UsageRow | UsageTotalRow) -> dict[str, float]:
    return {name: getattr(source, name) for name in AMOUNTS}


def _add(session: Session, table: SqlTable, rows: list[dict[str, object]]) -> None:
    if not rows:
        return
    is_postgres = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert(table) if is_postgres else sqlite.insert(table)
    sums = {name: table.c[name] + insert.excluded[name] for name in AMOUNTS}
    session.execute(
        insert.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=sums),
        rows,
    )
