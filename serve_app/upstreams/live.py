"""`LiveProviders`: the enabled providers with their keys, as one replica knows them.

A replica looks every two seconds whether a provider was changed, while it is asked; after a pause
the caller that comes first waits for that look. While the database does not answer, what is known
stays in force.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from serve_app.core.errors import Unavailable
from serve_app.core.upstreams.provider import Provider
from serve_app.database.connection import Database
from serve_app.database.revisions import revision_of
from serve_app.upstreams.provider_records import (
    API_KEY,
    REVISION,
    StoredProvider,
    first_at_hosts,
    live_providers,
    purpose_of,
    shown,
)
from serve_app.upstreams.sealing import CannotOpen, KeyRing

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
LOOK_FIRST_S = 4.0
"""A change is seen within 5 s: older knowledge than this is not used before a look."""
PATIENCE_S = 1.0


@dataclass(frozen=True)
class LiveProvider:
    """A provider that can be called: its keys in their order, and the credentials of its settings.
    They show themselves to nobody who does not ask.
    """

    provider: Provider
    keys: tuple[tuple[str, SecretStr], ...]
    credentials: Mapping[str, SecretStr]


Known = Mapping[str, LiveProvider]


class LiveProviders:
    """Looks the database up no oftener than it must. `ticks` gives seconds that never go back."""

    def __init__(
        self, database: Database, ring: KeyRing, *, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._ring = ring
        self._ticks = ticks
        self._known: Known | None = None
        self._disabled: Known = {}
        self._revision: object = None
        self._looked_at = -math.inf
        self._look: asyncio.Task[None] | None = None

    async def by_name(self) -> Known:
        """All that are enabled and whose secrets can be read. Unavailable when nothing is known yet
        and the database does not answer.
        """
        age = self._ticks() - self._looked_at
        if age < LOOK_EVERY_S and self._known is not None:
            return self._known
        if self._look is None or self._look.done():
            self._look = asyncio.get_running_loop().create_task(self.refresh())
            self._look.add_done_callback(_ended)
        if self._known is None:
            await asyncio.shield(self._look)
        elif age >= LOOK_FIRST_S:
            await asyncio.wait({self._look}, timeout=PATIENCE_S)
        assert self._known is not None
        return self._known

    async def refresh(self) -> None:
        """Read what changed, now."""
        begun = self._ticks()
        look = partial(_changed, since=self._revision, ring=self._ring)
        changed = await self._database.read(look)
        self._looked_at = begun
        if changed is not None:
            self._revision, found = changed
            self._known = {name: each for name, each in found.items() if each.provider.enabled}
            self._disabled = {name: found[name] for name in found.keys() - self._known.keys()}

    def any_by_name(self) -> Known:
        """What the last look has found, disabled ones too."""
        return {**self._disabled, **(self._known or {})}


def _ended(task: "asyncio.Task[None]") -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, Unavailable | SQLAlchemyError):
        logger.warning("providers could not be read: %s", error)
    elif error is not None:
        logger.error("reading providers failed", exc_info=error)


def _changed(session: Session, *, since: object, ring: KeyRing) -> tuple[object, Known] | None:
    """The revision and what is known at it; None while it is still `since`."""
    revision = revision_of(session, REVISION)
    if revision == since:
        return None
    stored = live_providers(session)
    hosts = first_at_hosts(stored)
    found = {}
    for each in stored:
        try:
            found[each.row.name] = _opened(each, shown(each, hosts, ring), ring)
        except CannotOpen:
            logger.error("the secrets of the provider %r cannot be decrypted", each.row.name)
    return revision, found


def _opened(stored: StoredProvider, provider: Provider, ring: KeyRing) -> LiveProvider:
    secrets = {
        row.id: SecretStr(ring.open(row.sealed, purpose=purpose_of(row))) for row in stored.secrets
    }
    return LiveProvider(
        provider,
        tuple((row.id, secrets[row.id]) for row in stored.secrets if row.role == API_KEY),
        {row.role: secrets[row.id] for row in stored.secrets if row.role != API_KEY},
    )
