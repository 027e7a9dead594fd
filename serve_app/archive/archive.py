"""`Archive`: one record of every generated file, over the database and the blob store."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from sqlalchemy import Select, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from serve_app.archive.entries import (
    FILE_NAME,
    NO_PREVIEW,
    ArchiveQuery,
    ArchiveSettings,
    Entry,
    Origin,
    entry_of,
    new_filename,
)
from serve_app.archive.previews import MediaPreview, measure, media_preview
from serve_app.blobs.references import UnheldBlob, discard, hold, release
from serve_app.blobs.sniff import kind_of
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import InternalError, NotFound
from serve_app.core.media import Blob, MediaKind
from serve_app.core.settings import ArchiveDefaults
from serve_app.database.connection import Database
from serve_app.database.schema import ArchiveRow, BlobReferenceRow, SettingRow
from serve_app.database.text import storable, storable_json
from serve_app.runtime.streams import once

logger = logging.getLogger(__name__)

SETTING = "archive"
TEXTS = ("prompt", "negative_prompt", "model", "operation", "owner", "tag", "job_id")
EXACT = ("type", "model", "operation", "owner", "tag")
ILLUSTRATED: tuple[MediaKind, ...] = ("image", "video")
Row = ArchiveRow


class Archive:
    """Entries are seen by their owner; `owner` None sees all. To others an entry is NotFound.

    `defaults` hold until an admin changes the settings, which the database keeps.
    """

    def __init__(
        self,
        database: Database,
        blobs: FsspecBlobStore,
        defaults: ArchiveDefaults,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._defaults = defaults
        self._clock = clock

    async def record(self, blob: Blob, origin: Origin, *, position: int = 0) -> Entry | None:
        """Enter a generated file, the `position`th of its request; None while the archive is off.

        Entering the same output of the same job again gives the entry that is there. Its preview
        comes with `illustrate`.
        """
        kind = kind_of(blob.mime)
        if kind is None:
            raise InternalError(f"a file of type {blob.mime!r} is not a generated media file")
        if not (await self.settings()).enabled:
            return None
        filename = new_filename(blob, origin.job_id, position)
        if found := await self._database.read(lambda session: session.get(Row, filename)):
            return entry_of(found)
        seen = (
            MediaPreview()
            if _is_measured(kind, origin)
            else await self._preview(measure, blob, kind)
        )
        row = _row(filename, blob, kind, origin, seen, self._clock())
        try:
            return await self._database.write(partial(_entered, values=row, blob=blob))
        except IntegrityError:
            # Another run of the same job was faster.
            return await self.entry(filename, owner=None)

    async def illustrate(self, filename: str) -> None:
        """Make the preview of an entry that may have one; nothing where it is gone."""
        entry = await self._find(filename)
        if entry is None:
            return
        seen = MediaPreview()
        with suppress(NotFound):
            seen = await self._preview(media_preview, entry.blob, entry.type)
        preview = None
        if seen.preview is not None:
            preview = await self._blobs.write(once(seen.preview), mime="image/webp")
        await self._database.write(partial(_illustrated, filename=filename, preview=preview))

    async def illustrate_all(self) -> int:
        """Make the previews that a kill prevented; how many."""
        wanting = select(Row.filename).where(Row.preview.is_(None), Row.type.in_(ILLUSTRATED))
        names = await self._database.read(lambda session: session.scalars(wanting).all())
        for name in names:
            await self.illustrate(name)
        return len(names)

    async def entries(self, query: ArchiveQuery) -> tuple[list[Entry], int]:
        """The entries asked for, and how many the filters let through in all."""
        chosen = _filtered(query)
        newest = Row.created.desc() if query.order == "desc" else Row.created.asc()

        def work(session: Session) -> tuple[list[Entry], int]:
            total = session.scalar(select(func.count()).select_from(chosen.subquery()))
            page = chosen.order_by(newest, Row.filename).limit(query.limit).offset(query.offset)
            return [entry_of(row) for row in session.scalars(page)], total or 0

        return await self._database.read(work)

    async def entry(self, filename: str, *, owner: str | None) -> Entry:
        """NotFound for a name that is unknown, or another's."""
        found = await self._find(filename)
        if found is None or owner not in (None, found.owner):
            raise _unknown(filename)
        return found

    async def find_file(self, filename: str) -> Blob | None:
        """The bytes behind a name, whoever asks: names cannot be guessed."""
        found = await self._find(filename)
        return found.blob if found else None

    async def with_content(
        self, sha256: str, *, created_after: float = 0.0, created_before: float = math.inf
    ) -> list[Entry]:
        """Every entry of a file with these bytes, whoever's, oldest first."""

        def work(session: Session) -> list[Entry]:
            # By who holds the bytes, which has an index, as the hash in the archive has not.
            holders = select(BlobReferenceRow.holder).where(BlobReferenceRow.sha256 == sha256)
            names = [
                name
                for kind, _, name in (text.partition(":") for text in session.scalars(holders))
                if kind == "archive"
            ]
            chosen = select(Row).where(Row.filename.in_(names), Row.sha256 == sha256)
            entries = [entry_of(row) for row in session.scalars(chosen.order_by(Row.created))]
            return [e for e in entries if created_after <= e.created < created_before]

        return await self._database.read(work)

    async def delete(self, filename: str, *, owner: str | None) -> None:
        """Remove record, preview and bytes. NotFound as for `entry`; of two that delete at once
        one gets it.
        """
        if not FILE_NAME.fullmatch(filename):
            raise _unknown(filename)
        unheld = await self._database.write(
            partial(_deleted, filenames=[filename], owner=owner, must_exist=True)
        )
        await discard(self._database, self._blobs.url, unheld)

    async def delete_before(self, created: float, *, group: int = 200) -> int:
        """Remove all entries created before then; how many."""
        due = select(Row.filename).where(Row.created < created).limit(group)
        removed = 0
        while names := await self._database.read(lambda session: session.scalars(due).all()):
            unheld = await self._database.write(partial(_deleted, filenames=names))
            await discard(self._database, self._blobs.url, unheld)
            removed += len(names)
        return removed

    async def settings(self) -> ArchiveSettings:
        """As they are now."""
        row = await self._database.read(lambda session: session.get(SettingRow, SETTING))
        return ArchiveSettings.model_validate(
            self._defaults.model_dump() | (row.value if row else {})
        )

    async def change_settings(self, settings: ArchiveSettings) -> None:
        """Set them for all replicas, now and after a restart."""
        row = SettingRow(name=SETTING, value=settings.model_dump())
        await self._database.write(lambda session: session.merge(row))

    async def _find(self, filename: str) -> Entry | None:
        if not FILE_NAME.fullmatch(filename):
            return None
        row = await self._database.read(lambda session: session.get(Row, filename))
        return entry_of(row) if row else None

    async def _preview(
        self, see: Callable[[Path, MediaKind], MediaPreview], blob: Blob, kind: MediaKind
    ) -> MediaPreview:
        async with self._blobs.local_file(blob) as path:
            return await asyncio.to_thread(see, path, kind)


def _row(
    filename: str, blob: Blob, kind: MediaKind, origin: Origin, seen: MediaPreview, created: float
) -> dict[str, object]:
    values = origin.model_dump()
    for name in TEXTS:
        values[name] = None if values[name] is None else storable(values[name])
    for name in ("width", "height", "duration"):
        values[name] = getattr(seen, name) if values[name] is None else values[name]
    values["parameters"] = storable_json(values["parameters"])
    return values | {"filename": filename, "type": kind, "created": created} | blob.model_dump()


def _is_measured(kind: MediaKind, origin: Origin) -> bool:
    """Whether its maker has told all numbers that are read from such a file."""
    has_size = None not in (origin.width, origin.height)
    has_length = origin.duration is not None
    return {"image": has_size, "audio": has_length, "video": has_size and has_length}[kind]


def _entered(session: Session, *, values: dict[str, object], blob: Blob) -> Entry:
    row = session.get(Row, values["filename"])
    if row is None:
        row = Row(**values)
        session.add(row)
        hold(session, f"archive:{row.filename}", [blob])
    return entry_of(row)


def _illustrated(session: Session, *, filename: str, preview: Blob | None) -> None:
    row = session.get(Row, filename)
    if row is None:
        # Deleted meanwhile; the bytes, which nobody holds, go with a sweep.
        return
    row.preview = preview.sha256 if preview else NO_PREVIEW
    if preview is not None:
        hold(session, f"archive:{filename}", [preview])


def _deleted(
    session: Session,
    *,
    filenames: Sequence[str],
    owner: str | None = None,
    must_exist: bool = False,
) -> list[UnheldBlob]:
    unheld: list[UnheldBlob] = []
    for filename in filenames:
        doomed = delete(Row).where(Row.filename == filename)
        if owner is not None:
            doomed = doomed.where(Row.owner == owner)
        gone = session.execute(doomed.returning(Row.job_id, Row.sha256)).one_or_none()
        if gone is None:
            if must_exist:
                raise _unknown(filename)
            continue
        unheld += release(session, f"archive:{filename}")
        if gone.job_id is not None:
            # The job is kept longer than its files, but must not keep what its owner deleted.
            unheld += release(session, f"job:{gone.job_id}", [gone.sha256])
    return unheld


def _filtered(query: ArchiveQuery) -> Select[Row]:
    chosen = select(Row)
    for name in EXACT:
        wanted = getattr(query, name)
        if wanted is not None:
            chosen = chosen.where(getattr(Row, name) == storable(wanted))
    if query.q:
        chosen = chosen.where(Row.prompt.icontains(storable(query.q), autoescape=True))
    if query.created_after is not None:
        chosen = chosen.where(Row.created > query.created_after)
    if query.created_before is not None:
        chosen = chosen.where(Row.created < query.created_before)
    return chosen


def _unknown(filename: str) -> NotFound:
    return NotFound(f"no archived file is named {filename[:100]!r}", param="filename")
