"""Uploads: their owners, how long they are kept, and quotas."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from serve_app.blobs.references import UnheldBlob, discard, hold, release
from serve_app.blobs.sniff import extension_of
from serve_app.blobs.store import FILE_NAME, FILES, ObservedStore
from serve_app.core.config import AppConfig
from serve_app.core.errors import AppError, Forbidden, NotFound, PayloadTooLarge
from serve_app.core.media import Blob
from serve_app.core.settings import RETENTION_S, Retention
from serve_app.database.connection import Database
from serve_app.database.locks import take_lock
from serve_app.database.schema import BlobReferenceRow

logger = logging.getLogger(__name__)

NOBODY = "upload"
"""Who holds what was uploaded before uploads had owners."""
NOTED_EVERY_S = 3600.0
"""How exactly the last use is known, so that uses are seldom written down."""
GROUP = 200
Row = BlobReferenceRow


class Uploads:
    """What callers have uploaded. Owners may hold equal bytes, of which there is one copy; the last
    who lets go of them takes them, unless a job, an archive entry or a profile holds them too.

    An upload goes `retention` after it was last used. `quota_bytes` bounds what an owner keeps;
    None does not.
    """

    def __init__(
        self,
        database: Database,
        blobs_url: str,
        *,
        retention: Retention,
        quota_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._blobs_url = blobs_url
        self._kept_s = RETENTION_S[retention]
        self._quota_bytes = quota_bytes
        self._clock = clock
        self._noting: set[asyncio.Task[None]] = set()

    async def keep(self, blob: Blob, store: ObservedStore, *, owner: str, param: str) -> None:
        """Hold for an owner what was just written to `store`. PayloadTooLarge when it is more than
        the owner may keep; what cannot be kept leaves nothing behind.
        """
        kept = partial(
            _kept, blob=blob, owner=owner, quota=self._quota_bytes, now=self._clock(), param=param
        )
        try:
            await self._database.write(kept)
        except AppError:
            await self.drop(blob, store)
            raise

    async def drop(self, blob: Blob, store: ObservedStore) -> None:
        """Remove what was just written to `store`, unless somebody has it or writes it again."""
        if not store.existed:
            written = [UnheldBlob(blob.sha256, store.written_at)]
            await discard(self._database, self._blobs_url, written)

    def note_use(self, blob: Blob) -> None:
        """`use`, without waiting for the database: what a request names does not depend on it."""
        task = asyncio.create_task(self.use(blob))
        # The loop itself keeps no task alive.
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def use(self, blob: Blob) -> None:
        """Note that an upload is used, for all who hold it. It is no failure of whoever uses it
        when that cannot be written down.
        """
        now = self._clock()
        noted_long_ago = (Row.sha256 == blob.sha256, Row.used_at < now - NOTED_EVERY_S)
        any_of_them = select(Row.holder).where(*noted_long_ago).limit(1)
        used = update(Row).where(*noted_long_ago).values(used_at=now)
        try:
            if await self._database.read(lambda session: session.scalar(any_of_them)):
                await self._database.write(lambda session: session.execute(used))
        except AppError as error:
            logger.warning("the use of an upload was not noted: %s", error)

    async def delete(self, name: str, *, owner: str | None) -> None:
        """Remove an owner's upload by the name of its file; for None everybody's. NotFound for a
        name that is unknown, or another's.
        """
        unheld = await self._database.write(partial(_deleted, name=name, owner=owner))
        await discard(self._database, self._blobs_url, unheld)

    async def find(self, name: str, *, owner: str | None) -> Blob | None:
        """What an owner has uploaded, by the name of its file; for None what anybody has. None for
        what nobody has uploaded, Forbidden for what others have.
        """
        match = FILE_NAME.fullmatch(name)
        if match is None:
            return None
        uploaded = select(Row).where(Row.sha256 == match[1], _is_upload())
        rows = await self._database.read(lambda session: session.scalars(uploaded).all())
        mine = [row for row in rows if owner is None or row.holder == holder_of(owner)]
        if rows and not mine:
            raise Forbidden("this file is another user's", code="not_owner")
        blobs = (Blob(sha256=row.sha256, mime=row.mime, size=row.size) for row in mine)
        return next(blobs, None)

    async def sweep(self) -> int:
        """Remove all that was not used for so long; how many. Safe to call at any time, from any
        process.
        """
        removed = 0
        if self._kept_s is None:
            return removed
        # Later by what the last use may be earlier in the table than it was.
        expired = partial(_expired, used_before=self._clock() - self._kept_s - NOTED_EVERY_S)
        while True:
            count, unheld = await self._database.write(expired)
            await discard(self._database, self._blobs_url, unheld)
            removed += count
            if count < GROUP:
                break
        if removed:
            logger.info("removed %d unused uploads", removed)
        return removed


def uploads_of(config: AppConfig, database: Database, blobs_url: str) -> Uploads:
    """As configured."""
    return Uploads(
        database,
        blobs_url,
        retention=config.storage.uploads_retention,
        quota_bytes=config.limits.upload_quota_bytes,
    )


def holder_of(owner: str) -> str:
    """By which name an owner holds uploads."""
    return f"{NOBODY}:{owner}"


def _is_upload() -> ColumnElement[bool]:
    return or_(Row.holder == NOBODY, Row.holder.startswith(holder_of(""), autoescape=True))


def _kept(
    session: Session, *, blob: Blob, owner: str, quota: int | None, now: float, param: str
) -> None:
    holder = holder_of(owner)
    if quota is not None:
        take_lock(session, holder)
        others = select(func.coalesce(func.sum(Row.size), 0)).where(
            Row.holder == holder, Row.sha256 != blob.sha256
        )
        used = session.scalar(others) or 0
        if used + blob.size > quota:
            raise PayloadTooLarge(
                f"this file of {blob.size} bytes exceeds the quota of {quota} bytes of uploads per "
                f"user, of which {used} are in use",
                remedy=f"delete some with DELETE {FILES}/{{filename}}",
                param=param,
            )
    hold(session, holder, [blob], used_at=now)


def _deleted(session: Session, *, name: str, owner: str | None) -> list[UnheldBlob]:
    match = FILE_NAME.fullmatch(name)
    found = []
    if match is not None:
        mine = _is_upload()
        if owner is not None:
            mine = Row.holder == holder_of(owner)
        rows = session.scalars(select(Row).where(Row.sha256 == match[1], mine)).all()
        found = [row for row in rows if extension_of(row.mime) == match[2]]
    if not found:
        raise NotFound(
            f"no upload is named {name[:100]!r}",
            remedy="generated files are archive entries",
            param="filename",
        )
    return [one for row in found for one in release(session, row.holder, [row.sha256])]


def _expired(session: Session, *, used_before: float) -> tuple[int, list[UnheldBlob]]:
    # Locked, so that a use which is noted meanwhile comes too late and not for nothing.
    due = select(Row).where(Row.used_at < used_before).limit(GROUP).with_for_update()
    rows = [(row.holder, row.sha256) for row in session.scalars(due)]
    unheld = [one for holder, sha256 in rows for one in release(session, holder, [sha256])]
    return len(rows), unheld
