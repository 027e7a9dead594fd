"""`KnownProviders`: names and types of the enabled providers, as one process knows them, where
models are looked up. No secret is read for it.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from serve_app.core.errors import Unavailable
from serve_app.core.upstreams.provider import ProviderType
from serve_app.database.connection import Database
from serve_app.database.revisions import revision_of
from serve_app.database.schema import ProviderRow
from serve_app.upstreams.live import LOOK_EVERY_S, LOOK_FIRST_S, PATIENCE_S
from serve_app.upstreams.provider_records import REVISION

logger = logging.getLogger(__name__)
Types = Mapping[str, ProviderType]


class KnownProviders:
    """Looks when it is asked to, and no oftener than it must. While the database does not answer,
    what is known stays in force.
    """

    def __init__(self, database: Database, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._ticks = ticks
        self._revision: object = None
        self._types: Types = {}
        self._looked_at = -math.inf
        self._look: asyncio.Task[None] | None = None

    @property
    def types(self) -> Types:
        """Those that are known now, by name."""
        return self._types

    @property
    def revision(self) -> object:
        """Another one after every change of any provider."""
        return self._revision

    @property
    def is_stale(self) -> bool:
        """Whether it is time to look."""
        return self._ticks() - self._looked_at >= LOOK_EVERY_S

    async def look(self) -> None:
        """Look if it is time to. Only who finds old knowledge waits for it, and not for long."""
        age = self._ticks() - self._looked_at
        if age < LOOK_EVERY_S:
            return
        if self._look is None or self._look.done():
            self._look = asyncio.get_running_loop().create_task(self._quietly())
        if age >= LOOK_FIRST_S:
            await asyncio.wait({self._look}, timeout=PATIENCE_S)

    async def refresh(self) -> None:
        """Read what changed, now."""
        begun = self._ticks()
        changed = await self._database.read(partial(_changed, since=self._revision))
        self._looked_at = begun
        if changed is not None:
            self._revision, self._types = changed

    async def _quietly(self) -> None:
        try:
            await self.refresh()
        except (Unavailable, SQLAlchemyError) as error:
            self._looked_at = self._ticks()
            logger.warning("providers could not be read: %s", error)


def _changed(session: Session, *, since: object) -> tuple[object, Types] | None:
    """The revision and what is known at it; None while it is still `since`."""
    revision = revision_of(session, REVISION)
    if revision == since:
        return None
    row = ProviderRow
    enabled = select(row.name, row.type).where(row.deleted_at.is_(None), row.enabled.is_(True))
    return revision, {
        str(name): cast("ProviderType", kind) for name, kind in session.execute(enabled)
    }
