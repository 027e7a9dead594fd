"""Encrypts again, with the key of today, what a former one has encrypted."""

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from serve_app.database.connection import Database
from serve_app.database.locks import take_lock
from serve_app.database.revisions import announce_change
from serve_app.database.schema import ProviderSecretRow
from serve_app.upstreams.provider_records import LOCK, REVISION, purpose_of
from serve_app.upstreams.sealing import CannotOpen, KeyRing

logger = logging.getLogger(__name__)


def seal_anew(database: Database, ring: KeyRing) -> int:
    """How many secrets were encrypted again. What no key opens is left as it is. Blocks."""
    lost, done = database.write_now(lambda session: _sealed(session, ring)) if ring else (0, 0)
    if lost:
        logger.error(
            "%d secrets of providers cannot be decrypted with the encryption keys of this server; "
            "bring the former key back, or replace them",
            lost,
        )
    return done


def _sealed(session: Session, ring: KeyRing) -> tuple[int, int]:
    """How many could not be opened, and how many were sealed again."""
    take_lock(session, LOCK)
    lost = done = 0
    for row in session.scalars(select(ProviderSecretRow)):
        if ring.is_current(row.sealed):
            continue
        purpose = purpose_of(row)
        try:
            row.sealed = ring.seal(ring.open(row.sealed, purpose=purpose), purpose=purpose)
            done += 1
        except CannotOpen:
            lost += 1
    if done:
        announce_change(session, REVISION)
    return lost, done
