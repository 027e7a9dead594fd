"""Revisions by which replicas notice that something in the database was changed."""

import secrets

from sqlalchemy import update
from sqlalchemy.orm import Session

from serve_app.database.schema import SettingRow


def announce_change(session: Session, name: str) -> None:
    """Give the revision of this name another value, which every replica looks for."""
    value = secrets.token_hex(8)
    changed = session.execute(update(SettingRow).where(SettingRow.name == name).values(value=value))
    if changed.rowcount == 0:  # type: ignore[attr-defined]
        session.add(SettingRow(name=name, value=value))


def revision_of(session: Session, name: str) -> object:
    """The value that it has, "" before the first change."""
    row = session.get(SettingRow, name)
    return row.value if row is not None else ""
