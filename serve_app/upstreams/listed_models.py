"""`ListedModels`: what providers list, kept for a while; with the names of providers it is what is
known of them where models are looked up.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from serve_app.core.errors import AppError
from serve_app.core.upstreams.directory import ProviderListing, UpstreamService
from serve_app.core.upstreams.exchange import UpstreamListing
from serve_app.core.upstreams.model_routes import UpstreamModel
from serve_app.core.upstreams.provider import Provider, ProviderType
from serve_app.upstreams.known_providers import KnownProviders

logger = logging.getLogger(__name__)
PATIENCE_S = 5.0
SHORT_PATIENCE_S = 0.25
"""Where there is an older list."""


class ListedModels:
    """Satisfies `UpstreamDirectory`. Lists are read when `refresh` is asked for one that is older
    than `age_s` or than the last change of a provider; who asks waits for them, but not long.
    """

    def __init__(
        self,
        known: KnownProviders,
        service: UpstreamService | None,
        *,
        age_s: float,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.known = known
        self._service = service
        self._age_s = age_s
        self._ticks = ticks
        self._listings: Mapping[str, ProviderListing] = {}
        self._models: dict[str, UpstreamListing] = {}
        self._read_at = -math.inf
        self._revision: object = None
        self._reading: asyncio.Task[None] | None = None

    def providers(self) -> Mapping[str, ProviderType]:
        """The enabled ones."""
        return self.known.types

    def listed(self, id: str) -> UpstreamListing | None:
        """What a provider has last said of a model."""
        return self._models.get(id)

    def every(self) -> Mapping[str, UpstreamListing]:
        """All that is listed by providers that are enabled and were reached."""
        return self._models

    async def refresh(self) -> None:
        """Read the lists if it is time to."""
        await self.known.look()
        if self._service is None or not self.known.types:
            self._keep({})
            return
        is_new = self._revision != self.known.revision
        if is_new or self._ticks() - self._read_at >= self._age_s:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.get_running_loop().create_task(self._read())
            patience = PATIENCE_S if is_new else SHORT_PATIENCE_S
            await asyncio.wait({self._reading}, timeout=patience)

    async def test(self, provider: str) -> ProviderListing:
        """What a provider lists now; disabled ones are asked too."""
        assert self._service is not None
        (found,) = await self._service.listings(provider)
        if provider in self.known.types:
            self._keep({**self._listings, provider: found})
        return found

    def with_contact(self, provider: Provider) -> Provider:
        """The provider, warned of where the last contact has failed."""
        found = self._listings.get(provider.name)
        if found is None or found.error is None or not provider.enabled:
            return provider
        at = datetime.fromtimestamp(found.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        warning = f"the last contact, at {at}, failed: {found.error}"
        return provider.model_copy(update={"warnings": (*provider.warnings, warning)})

    async def close(self) -> None:
        """Close what calls providers."""
        if self._service is not None:
            await self._service.close()

    async def _read(self) -> None:
        revision, begun = self.known.revision, self._ticks()
        assert self._service is not None
        try:
            listings = await self._service.listings()
        except AppError as error:
            logger.warning("lists of models could not be read: %s", error.message)
            return
        self._revision, self._read_at = revision, begun
        self._keep({each.provider: each for each in listings})

    def _keep(self, listings: Mapping[str, ProviderListing]) -> None:
        self._listings = listings
        self._models = {
            UpstreamModel(provider=each.provider, model=model.id).id: model
            for each in listings.values()
            if each.provider in self.known.types
            for model in each.models
        }
