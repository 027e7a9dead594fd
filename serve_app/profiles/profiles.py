"""`Profiles`: saved characters, environments and voices over the database and the blob store.

All callers read them; their owner and admins change them.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from serve_app.access.tokens import Principal
from serve_app.blobs.references import UnheldBlob, discard, held_by, hold, release
from serve_app.core.errors import Conflict, Forbidden, NotFound
from serve_app.core.media import Blob
from serve_app.database.connection import Database
from serve_app.database.schema import ProfileItemRow, ProfileRow
from serve_app.profiles.profile import (
    Kind,
    NewProfileItem,
    Profile,
    ProfileChange,
    ProfileItem,
    changed_items,
    check_count,
    checked_name,
)

Row = ProfileRow
Outcome = tuple[Profile, list[UnheldBlob]]


class Profiles:
    """Every verb raises InvalidRequest for what is no name, and NotFound for an unknown one."""

    def __init__(
        self, database: Database, blobs_url: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._blobs_url = blobs_url
        self._clock = clock

    async def all(self, kind: Kind) -> list[Profile]:
        """Oldest first."""
        return await self._database.read(partial(_listed, kind=kind))

    async def get(self, kind: Kind, name: str, *, param: str = "name") -> Profile:
        """One profile."""
        checked_name(name, kind, param=param)
        profile = await self._database.read(partial(_found, kind=kind, name=name))
        if profile is None:
            raise _unknown(kind, name, param)
        return profile

    async def owned(self, kind: Kind, name: str, *, by: Principal) -> Profile:
        """One profile that `by` may change. Forbidden otherwise."""
        profile = await self.get(kind, name)
        _check_owner(profile, by)
        return profile

    async def save(
        self,
        kind: Kind,
        name: str,
        *,
        by: Principal,
        description: str,
        items: Sequence[NewProfileItem],
        transcript: str = "",
    ) -> Profile:
        """Create a profile, or replace all that it holds. Forbidden when it is another's."""
        checked_name(name, kind)
        check_count(len(items))
        texts = {"description": description, "transcript": transcript}
        made = {"kind": kind, "name": name, "owner": by.owner, "created_at": self._clock()}

        def work(session: Session) -> Outcome:
            row = _row(session, kind, name)
            if row is None:
                row = Row(**made, **texts, next_item=0)
                session.add(row)
                session.flush()
            _check_owner(row, by)
            return _with(session, row, texts, items)

        return await self._written(work)

    async def change(
        self, kind: Kind, name: str, change: ProfileChange, *, by: Principal
    ) -> Profile:
        """Apply a change as a whole or not at all. Forbidden when the profile is another's."""
        checked_name(name, kind)
        texts = change.model_dump(include={"description", "transcript"}, exclude_none=True)

        def work(session: Session) -> Outcome:
            row = _owned(session, kind, name, by)
            items = changed_items(_profile(session, row), change)
            return _with(session, row, texts, items)

        return await self._written(work)

    async def delete(self, kind: Kind, name: str, *, by: Principal) -> None:
        """Remove the profile and the files that nobody else holds."""
        checked_name(name, kind)

        def work(session: Session) -> list[UnheldBlob]:
            row = _owned(session, kind, name, by)
            unheld = release(session, holder_of(row.id))
            session.execute(delete(ProfileItemRow).where(ProfileItemRow.profile_id == row.id))
            session.delete(row)
            return unheld

        await discard(self._database, self._blobs_url, await self._database.write(work))

    async def _written(self, work: Callable[[Session], Outcome]) -> Profile:
        try:
            profile, unheld = await self._database.write(work)
        except IntegrityError:
            raise Conflict(
                "the profile was changed by another request at the same time", remedy="try again"
            ) from None
        await discard(self._database, self._blobs_url, unheld)
        return profile


def holder_of(profile_id: int) -> str:
    """How a profile is named in the references to blobs."""
    return f"profile:{profile_id}"


def _with(
    session: Session, row: Row, texts: dict[str, str], items: Sequence[NewProfileItem]
) -> Outcome:
    """Write a row's texts and items; the blobs of its former items are let go."""
    for name, text in texts.items():
        setattr(row, name, text)
    session.execute(delete(ProfileItemRow).where(ProfileItemRow.profile_id == row.id))
    for item in items:
        number = item.number if isinstance(item, ProfileItem) else row.next_item
        row.next_item = max(row.next_item, number + 1)
        values = item.blob.model_dump() | {"role": item.role, "text": item.text}
        session.add(ProfileItemRow(profile_id=row.id, number=number, **values))
    session.flush()
    holder = holder_of(row.id)
    hold(session, holder, [item.blob for item in items])
    needed = {item.blob.sha256 for item in items}
    unheld = release(session, holder, held_by(session, holder) - needed)
    return _profile(session, row), unheld


def _row(session: Session, kind: Kind, name: str) -> Row | None:
    """Locked where the database locks rows, so that changes come one after the other."""
    mine = select(Row).where(Row.kind == kind, Row.name == name).with_for_update()
    return session.scalars(mine).one_or_none()


def _owned(session: Session, kind: Kind, name: str, by: Principal) -> Row:
    row = _row(session, kind, name)
    if row is None:
        raise _unknown(kind, name, "name")
    _check_owner(row, by)
    return row


def _check_owner(row: Row | Profile, by: Principal) -> None:
    if row.owner != by.owner and "admin" not in by.scopes:
        raise Forbidden(
            f"the {row.kind} {row.name!r} belongs to another user",
            remedy="only the owner or an admin can change it",
            code="not_owner",
        )


def _found(session: Session, *, kind: Kind, name: str) -> Profile | None:
    row = session.scalars(select(Row).where(Row.kind == kind, Row.name == name)).one_or_none()
    return _profile(session, row) if row else None


def _listed(session: Session, *, kind: Kind) -> list[Profile]:
    mine = select(Row).where(Row.kind == kind).order_by(Row.created_at, Row.id)
    items: dict[int, list[ProfileItemRow]] = defaultdict(list)
    for item in session.scalars(select(ProfileItemRow).join(Row).where(Row.kind == kind)):
        items[item.profile_id].append(item)
    return [_joined(row, items[row.id]) for row in session.scalars(mine)]


def _profile(session: Session, row: Row) -> Profile:
    mine = select(ProfileItemRow).where(ProfileItemRow.profile_id == row.id)
    return _joined(row, session.scalars(mine).all())


def _joined(row: Row, rows: Sequence[ProfileItemRow]) -> Profile:
    items = [
        ProfileItem(
            role=item.role,  # type: ignore[arg-type]
            text=item.text,
            blob=Blob(sha256=item.sha256, mime=item.mime, size=item.size),
            number=item.number,
        )
        for item in sorted(rows, key=lambda item: item.number)
    ]
    names = set(Profile.model_fields) - {"items"}
    return Profile.model_validate({name: getattr(row, name) for name in names} | {"items": items})


def _unknown(kind: Kind, name: str, param: str) -> NotFound:
    return NotFound(f"no {kind} is named {name!r}", param=param)
