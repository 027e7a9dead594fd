"""The record of who has changed what. It is written in the transaction of the change itself."""

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy.orm import Session

from serve_app.access.tokens import Principal
from serve_app.database.schema import AuditRow
from serve_app.database.text import storable_json

Action = Literal["create", "update", "delete"]
PROVIDER = "provider"


def record_change(
    session: Session,
    action: Action,
    *,
    by: Principal,
    kind: str,
    subject: str,
    name: str,
    details: Mapping[str, Any],
    now: float,
) -> None:
    """Write a change down; `details` must have no secret in them."""
    session.add(
        AuditRow(
            at=now,
            owner=by.owner,
            credential=by.subject,
            action=action,
            kind=kind,
            subject=subject,
            name=name,
            details=storable_json(dict(details)),
        )
    )
