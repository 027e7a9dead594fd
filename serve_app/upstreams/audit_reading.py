"""Reads the record of who has changed what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from serve_app.database.schema import AuditRow
from serve_app.upstreams.audit import Action


@dataclass(frozen=True)
class AuditQuery:
    """Which records; times are unix seconds, None is all."""

    action: Action | None = None
    kind: str | None = None
    subject: str | None = None
    name: str | None = None
    owner: str | None = None
    after: float | None = None
    before: float | None = None
    limit: int = 50
    offset: int = 0


def read_audit(session: Session, query: AuditQuery) -> tuple[Sequence[AuditRow], int]:
    """A page, newest first, and how many there are."""
    page = _chosen(select(AuditRow), query).order_by(AuditRow.number.desc())
    rows = session.scalars(page.limit(query.limit).offset(query.offset)).all()
    total = session.scalar(_chosen(select(func.count()).select_from(AuditRow), query))
    return rows, total or 0


def _chosen(statement: Select[Any], query: AuditQuery) -> Select[Any]:
    for column, wanted in (
        (AuditRow.action, query.action),
        (AuditRow.kind, query.kind),
        (AuditRow.subject, query.subject),
        (AuditRow.name, query.name),
        (AuditRow.owner, query.owner),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if query.after is not None:
        statement = statement.where(AuditRow.at >= query.after)
    if query.before is not None:
        statement = statement.where(AuditRow.at < query.before)
    return statement
