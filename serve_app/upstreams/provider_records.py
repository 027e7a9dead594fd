"""Providers and their rows. Every function runs inside one transaction of its caller."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from serve_app.core.upstreams.base_url import host_of
from serve_app.core.upstreams.provider import BedrockSettings, Provider, ProviderKey
from serve_app.database.schema import ProviderRow, ProviderSecretRow
from serve_app.upstreams.sealing import CannotOpen, KeyRing

REVISION = "providers_revision"
LOCK = "providers"
API_KEY = "api_key"


@dataclass(frozen=True)
class StoredProvider:
    """A live row with the secrets of it, in their order."""

    row: ProviderRow
    secrets: tuple[ProviderSecretRow, ...]

    @property
    def keys(self) -> list[ProviderSecretRow]:
        """Those that are keys of the API."""
        return [secret for secret in self.secrets if secret.role == API_KEY]

    @property
    def settings(self) -> BedrockSettings | None:
        """The settings, None where there are none."""
        kept = self.row.settings
        return None if kept is None else BedrockSettings.model_validate(kept)


def purpose_of(secret: ProviderSecretRow) -> str:
    """What a secret is sealed for."""
    return f"{secret.role} {secret.id} of provider {secret.provider_id}"


def live_providers(session: Session) -> list[StoredProvider]:
    """All of them by name."""
    by_provider: dict[str, list[ProviderSecretRow]] = defaultdict(list)
    secret = ProviderSecretRow
    for each in session.scalars(select(secret).order_by(secret.position, secret.id)):
        by_provider[each.provider_id].append(each)
    live = select(ProviderRow).where(ProviderRow.deleted_at.is_(None))
    # Every database sorts by collation; these names are ASCII.
    rows = sorted(session.scalars(live), key=lambda row: row.name)
    return [StoredProvider(row, tuple(by_provider[row.id])) for row in rows]


def first_at_hosts(all_stored: Iterable[StoredProvider]) -> dict[str, str]:
    """Of the enabled providers of each host the name of the first, where they come by name."""
    found: dict[str, str] = {}
    for stored in all_stored:
        if stored.row.enabled:
            found.setdefault(host_of(stored.row.base_url), stored.row.name)
    return found


def shown(stored: StoredProvider, hosts: Mapping[str, str], ring: KeyRing) -> Provider:
    """A provider as it may be shown; `hosts` are those of all."""
    row = stored.row
    keys = tuple(
        ProviderKey(id=key.id, masked=key.masked, created_at=key.created_at) for key in stored.keys
    )
    return Provider(
        id=row.id,
        type=row.type,  # type: ignore[arg-type]
        name=row.name,
        display_name=row.display_name,
        icon=row.icon,
        enabled=row.enabled,
        base_url=row.base_url,
        api_keys=keys,
        settings=stored.settings,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
        warnings=(*_shared_host(row, hosts), *_unreadable(stored.secrets, ring)),
    )


def _shared_host(row: ProviderRow, hosts: Mapping[str, str]) -> list[str]:
    """Of two enabled providers with one host, the later-named one is told."""
    host = host_of(row.base_url)
    first = hosts.get(host, row.name)
    if not row.enabled or first == row.name:
        return []
    return [f"the host {json.dumps(host)} is also that of the provider {json.dumps(first)}"]


def _unreadable(secrets: Sequence[ProviderSecretRow], ring: KeyRing) -> list[str]:
    try:
        for secret in secrets:
            ring.open(secret.sealed, purpose=purpose_of(secret))
    except CannotOpen:
        return [
            "its secrets cannot be decrypted with the encryption keys of this server; bring the "
            "former key back, or replace them"
        ]
    return []
