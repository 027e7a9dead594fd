"""Locks for transactions that must run one after the other."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def take_lock(session: Session, name: str) -> None:
    """Wait for all transactions that hold the lock of this name; SQLite has one writer anyway. Of
    several names the order must be the same everywhere.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtext(name))))
