"""`Providers`: the registry of providers over the database. Every change is one transaction, with
its audit record, and is told to every replica.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sqlalchemy.orm import Session

from serve_app.access.tokens import Principal
from serve_app.core.errors import Conflict, InvalidRequest, PreconditionFailed
from serve_app.core.upstreams.provider import NewProvider, Provider, ProviderChange
from serve_app.core.upstreams.provider_errors import InvalidProvider, UnknownProvider
from serve_app.core.upstreams.provider_names import is_name, uuid_of
from serve_app.core.upstreams.provider_rules import broken_by_change, broken_by_new
from serve_app.database.connection import Database
from serve_app.database.locks import take_lock
from serve_app.upstreams.provider_edit import ProviderEdit
from serve_app.upstreams.provider_records import (
    LOCK,
    StoredProvider,
    first_at_hosts,
    live_providers,
    shown,
)
from serve_app.upstreams.sealing import KeyRing

T = TypeVar("T")
IsExpected = Callable[[Provider], bool]
Changed = Callable[[], Awaitable[None]]


def _always(_: Provider) -> bool:
    return True


async def _tell_nobody() -> None:
    return None


class Providers:
    """Verbs that take an id or a name raise UnknownProvider for an unknown one, and InvalidRequest
    for what is neither; those that change something, InvalidProvider with all rules that are
    broken. `is_expected` says whether a provider is as the caller knows it; where it is not,
    nothing is changed, and PreconditionFailed is raised. `changed` is told of every change that was
    made here, so that this process knows of it at once.
    """

    def __init__(
        self,
        database: Database,
        ring: KeyRing,
        *,
        clock: Callable[[], float] = time.time,
        changed: Changed = _tell_nobody,
    ) -> None:
        self._database = database
        self._ring = ring
        self._clock = clock
        self._changed = changed

    async def all(self) -> list[Provider]:
        """By name."""
        return await self._database.read(self._shown)

    async def get(self, id_or_name: str) -> Provider:
        """One of them."""
        named = _checked(id_or_name)
        return await self._database.read(lambda session: self._one(session, named))

    async def create(self, new: NewProvider, *, by: Principal) -> Provider:
        """Register a provider. Conflict when the name is taken."""
        broken = broken_by_new(new)
        if broken:
            raise InvalidProvider.of(broken)

        def work(session: Session) -> Provider:
            edit = self._edit(session, by)
            if any(each.row.name == new.name for each in live_providers(session)):
                raise Conflict(f'an AI provider named "{new.name}" already exists', param="name")
            return self._one(session, edit.add(new))

        return await self._written(work)

    async def change(
        self,
        id_or_name: str,
        change: ProviderChange,
        *,
        by: Principal,
        is_expected: IsExpected = _always,
    ) -> Provider:
        """Apply a change as a whole or not at all."""
        if change == ProviderChange():
            raise InvalidRequest("At least one field must be provided.")
        broken = broken_by_change(change)
        if broken:
            raise InvalidProvider.of(broken)
        named = _checked(id_or_name)

        def work(session: Session) -> Provider:
            edit = self._edit(session, by)
            stored = self._expected(session, named, is_expected)
            edit.change(stored, change)
            return self._one(session, stored.row.id)

        return await self._written(work)

    async def delete(
        self, id_or_name: str, *, by: Principal, is_expected: IsExpected = _always
    ) -> None:
        """Remove a provider and destroy its secrets; its name is free at once."""
        named = _checked(id_or_name)

        def work(session: Session) -> None:
            edit = self._edit(session, by)
            edit.remove(self._expected(session, named, is_expected))

        await self._written(work)

    async def _written(self, work: Callable[[Session], T]) -> T:
        result = await self._database.write(work)
        await self._changed()
        return result

    def _edit(self, session: Session, by: Principal) -> ProviderEdit:
        """Changes come one after the other, so that each sees what the one before has done."""
        take_lock(session, LOCK)
        return ProviderEdit(session, self._ring, by, self._clock())

    def _shown(self, session: Session) -> list[Provider]:
        stored = live_providers(session)
        hosts = first_at_hosts(stored)
        return [shown(each, hosts, self._ring) for each in stored]

    def _one(self, session: Session, named: str) -> Provider:
        session.flush()
        all_stored = live_providers(session)
        return self._provider(_found(all_stored, named), all_stored)

    def _provider(self, stored: StoredProvider, all_stored: Sequence[StoredProvider]) -> Provider:
        return shown(stored, first_at_hosts(all_stored), self._ring)

    def _expected(self, session: Session, named: str, is_expected: IsExpected) -> StoredProvider:
        all_stored = live_providers(session)
        stored = _found(all_stored, named)
        if not is_expected(self._provider(stored, all_stored)):
            raise PreconditionFailed("the provider was changed since", remedy="read it again")
        return stored


def _checked(id_or_name: str) -> str:
    """The id or the name that is meant. InvalidRequest."""
    named = uuid_of(id_or_name) or (id_or_name if is_name(id_or_name) else None)
    if named is None:
        raise InvalidRequest("Invalid provider id or name", param="id")
    return named


def _found(all_stored: Sequence[StoredProvider], named: str) -> StoredProvider:
    for stored in all_stored:
        if named in (stored.row.id, stored.row.name):
            return stored
    raise UnknownProvider(f"no provider is {named[:100]!r}", param="id")
