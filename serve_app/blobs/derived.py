"""Files that are made from stored ones and kept while they are used, by names of their makers."""

import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from serve_app.blobs.references import hold
from serve_app.core.media import Blob
from serve_app.database.connection import Database
from serve_app.database.schema import BlobReferenceRow

DERIVED = "derived:"
Row = BlobReferenceRow


async def find_derived(database: Database, name: str) -> Blob | None:
    """The file that was kept under a name."""

    def work(session: Session) -> Blob | None:
        row = session.scalar(select(Row).where(Row.holder == f"{DERIVED}{name}"))
        if row is None:
            return None
        return Blob(sha256=row.sha256, mime=row.mime, size=row.size)

    return await database.read(work)


async def keep_derived(database: Database, name: str, blob: Blob) -> None:
    """Keep a file that was just written, as long as an upload is kept."""
    now = time.time()
    await database.write(lambda session: hold(session, f"{DERIVED}{name}", [blob], used_at=now))
