"""Reads what was used: by day or month, token, user, model and provider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from serve_app.core.amounts import AMOUNTS, Amounts
from serve_app.database.schema import TokenRow, UsageRow
from serve_app.metering.usage_table import summed

Grouping = Literal["month", "day", "token", "user", "model", "provider"]
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
COLUMNS: Mapping[Grouping, ColumnElement[Any]] = {
    "month": func.substr(UsageRow.day, 1, 7),
    "day": UsageRow.day.expression,
    "token": UsageRow.token.expression,
    "user": UsageRow.owner.expression,
    "model": UsageRow.model.expression,
    "provider": UsageRow.provider.expression,
}


@dataclass(frozen=True)
class UsageQuery:
    """Which rows, summed up by what; days are text, both included. None is all."""

    group_by: Sequence[Grouping]
    first_day: str | None = None
    last_day: str | None = None
    model: str | None = None
    provider: str | None = None
    user: str | None = None
    token: int | None = None
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True)
class UsageLine:
    """A sum and what it is of."""

    group: dict[Grouping, Any]
    amounts: Amounts


@dataclass(frozen=True)
class UsagePage:
    """Some lines, the newest day first; how many there are, and the sum of all of them. `names` are
    those of the tokens, as far as they are known.
    """

    lines: tuple[UsageLine, ...]
    total: int
    whole: Amounts
    names: Mapping[int, str]


def read_usage(session: Session, query: UsageQuery) -> UsagePage:
    """One page."""
    columns = [COLUMNS[name] for name in query.group_by]
    grouped = _chosen(select(*columns, *_sums()), query).group_by(*columns)
    ordered = grouped.order_by(*_order(query.group_by)).limit(query.limit).offset(query.offset)
    width = len(columns)
    lines = tuple(
        UsageLine(dict(zip(query.group_by, row[:width], strict=True)), summed(row[width:]))
        for row in session.execute(ordered)
    )
    counted = _chosen(select(*columns), query).group_by(*columns).subquery()
    total = session.scalar(select(func.count()).select_from(counted)) or 0
    whole = session.execute(_chosen(select(*_sums()), query)).one()
    return UsagePage(lines, total, summed(whole), _names(session, lines))


def _sums() -> list[ColumnElement[Any]]:
    return [func.sum(getattr(UsageRow, name)) for name in AMOUNTS]


def _chosen(statement: Select[Any], query: UsageQuery) -> Select[Any]:
    if query.first_day is not None:
        statement = statement.where(UsageRow.day >= query.first_day)
    if query.last_day is not None:
        statement = statement.where(UsageRow.day <= query.last_day)
    for column, wanted in (
        (UsageRow.model, query.model),
        (UsageRow.provider, query.provider),
        (UsageRow.owner, query.user),
        (UsageRow.token, query.token),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    return statement


def _order(group_by: Sequence[Grouping]) -> list[ColumnElement[Any]]:
    return [
        COLUMNS[name].desc() if name in ("day", "month") else COLUMNS[name] for name in group_by
    ]


def _names(session: Session, lines: Sequence[UsageLine]) -> dict[int, str]:
    tokens = {line.group["token"] for line in lines if line.group.get("token")}
    if not tokens:
        return {}
    known = select(TokenRow.id, TokenRow.name).where(TokenRow.id.in_(tokens))
    return {row.id: row.name for row in session.execute(known)}
