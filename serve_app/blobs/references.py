"""Who holds which blob. Blobs are named by content and shared: the last holder takes the bytes.

`hold` and `release` are part of the caller's transaction; the bytes go after its commit. A kill
between the two leaves bytes that nobody holds, which `sweep` finds.
"""

import asyncio
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Table as SqlTable
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from serve_app.blobs.removal import BlobRemoval
from serve_app.core.media import Blob
from serve_app.database.connection import Database
from serve_app.database.schema import BlobReferenceRow

GRACE_S = 24 * 3600.0
"""How long bytes live that nobody holds yet: the media of a request under way, what a stage works
on before it is recorded, and the files of a server whose archive is off."""

Row = BlobReferenceRow


@dataclass(frozen=True)
class UnheldBlob:
    """A blob without a holder. Bytes written after `since` are somebody's who will hold them."""

    sha256: str
    since: float


def hold(
    session: Session, holder: str, blobs: Iterable[Blob], *, used_at: float | None = None
) -> None:
    """Note that `holder` needs these blobs. Holding twice is holding once. Uploads say when they
    were used.
    """
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    for blob in blobs:
        times = {"since": time.time(), "used_at": used_at}
        values = blob.model_dump() | {"holder": holder} | times
        table: SqlTable = Row.metadata.tables[Row.__tablename__]
        session.execute(
            insert(table)
            .values(values)
            .on_conflict_do_update(index_elements=["sha256", "holder"], set_=times)
        )


def release(
    session: Session, holder: str, sha256s: Collection[str] | None = None
) -> list[UnheldBlob]:
    """End what `holder` holds, all of it or these hashes; those that nobody holds any more."""
    mine = select(Row).where(Row.holder == holder)
    if sha256s is not None:
        mine = mine.where(Row.sha256.in_(sha256s))
    released = [UnheldBlob(row.sha256, row.since) for row in session.scalars(mine)]
    hashes = [one.sha256 for one in released]
    session.execute(delete(Row).where(Row.holder == holder, Row.sha256.in_(hashes)))
    for one in released:
        # The rest inherit that the bytes written until then have been accounted for.
        session.execute(
            update(Row)
            .where(Row.sha256 == one.sha256, Row.since < one.since)
            .values(since=one.since)
            .execution_options(synchronize_session=False)
        )
    held = referenced_among(session, hashes)
    return [one for one in released if one.sha256 not in held]


def held_by(session: Session, holder: str) -> set[str]:
    """The hashes of what `holder` holds."""
    return set(session.scalars(select(Row.sha256).where(Row.holder == holder)))


def referenced_among(session: Session, sha256s: Collection[str]) -> set[str]:
    """Those of the hashes that somebody holds."""
    return set(session.scalars(select(Row.sha256).where(Row.sha256.in_(sha256s)).distinct()))


async def discard(database: Database, url: str, unheld: Collection[UnheldBlob]) -> None:
    """Remove the bytes of what `release` returned, once its transaction is committed."""
    if not unheld:
        return
    hashes = [one.sha256 for one in unheld]
    held = await database.read(partial(referenced_among, sha256s=hashes))
    removal = BlobRemoval(url)
    for one in unheld:
        if one.sha256 not in held:
            await asyncio.to_thread(removal.remove, one.sha256, written_before=one.since)


async def sweep(database: Database, url: str, *, grace_s: float = GRACE_S) -> int:
    """Remove all bytes that nobody holds and that are older than `grace_s`, and what killed
    writers left; how many blobs went.
    """
    removal = BlobRemoval(url)
    before = time.time() - grace_s
    await asyncio.to_thread(removal.clear_spool, before)
    removed = 0
    groups = removal.older_than(before)
    while (group := await asyncio.to_thread(next, groups, None)) is not None:
        held = await database.read(partial(referenced_among, sha256s=group))
        for sha256 in set(group) - held:
            removed += await asyncio.to_thread(removal.remove, sha256, written_before=before)
    return removed
