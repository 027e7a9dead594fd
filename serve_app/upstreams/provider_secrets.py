"""The secrets of a provider as a change leaves them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from sqlalchemy.orm import Session

from serve_app.core.errors import InvalidRequest
from serve_app.core.upstreams.provider import KeyChange, ProviderChange, masked_key
from serve_app.database.schema import ProviderSecretRow
from serve_app.upstreams.provider_records import API_KEY, StoredProvider, purpose_of
from serve_app.upstreams.sealing import KeyRing

Row = ProviderSecretRow


@dataclass(frozen=True)
class SecretsAfter:
    """What there was, and what there is then: the keys in their order, and credentials by role."""

    before: Sequence[Row]
    keys: Sequence[Row]
    credentials: dict[str, Row]

    def write(self, session: Session) -> None:
        """Add, number and destroy rows."""
        for position, row in enumerate(self.keys):
            row.position = position
        rows = [*self.keys, *self.credentials.values()]
        session.add_all(rows)
        for row in self.before:
            if row not in rows:
                session.delete(row)

    def details(self) -> dict[str, Any]:
        """What an audit record says of it: keys by their masked forms, credentials by name."""
        was = [row for row in self.before if row.role == API_KEY]
        named = [row.role for row in self.before if row.role != API_KEY]
        fresh = [role for role, row in self.credentials.items() if row not in self.before]
        kept = [role for role, row in self.credentials.items() if row in self.before]
        return {
            "keys": {
                "added": [row.masked for row in self.keys if row not in was],
                "removed": [row.masked for row in was if row not in self.keys],
                "kept": [row.masked for row in was if row in self.keys],
            },
            "credentials": {
                "added": fresh,
                "removed": [role for role in named if role not in kept],
                "kept": kept,
            },
        }


class SecretChange:
    """Seals what a change of a provider brings. `now` is a unix second."""

    def __init__(self, stored: StoredProvider, ring: KeyRing, *, now: float) -> None:
        self._stored = stored
        self._ring = ring
        self._now = now

    def after(self, change: ProviderChange) -> SecretsAfter:
        """What there is then. InvalidRequest for the id of a key that is none of this provider."""
        keys = self._stored.keys
        if change.api_keys is not None:
            known = {row.id: row for row in keys}
            keys = [self._key(each, known) for each in change.api_keys]
        return SecretsAfter(self._stored.secrets, keys, self._credentials(change))

    def _key(self, change: KeyChange, known: dict[str, Row]) -> Row:
        if change.api_key is not None:
            return self._sealed(API_KEY, change.api_key, shows=True)
        found = known.get(change.id or "")
        if found is None:
            raise InvalidRequest(
                "api_keys references an unknown id for this provider", param="api_keys"
            )
        return found

    def _credentials(self, change: ProviderChange) -> dict[str, Row]:
        rows = {row.role: row for row in self._stored.secrets if row.role != API_KEY}
        for role, secret in (change.settings.credentials() if change.settings else {}).items():
            rows.pop(role, None)
            if secret.get_secret_value():
                rows[role] = self._sealed(role, secret)
        return rows

    def _sealed(self, role: str, secret: SecretStr, *, shows: bool = False) -> Row:
        text = secret.get_secret_value()
        row = Row(
            id=str(uuid.uuid4()),
            provider_id=self._stored.row.id,
            role=role,
            position=0,
            masked=masked_key(text) if shows else "",
            sealed="",
            created_at=self._now,
        )
        row.sealed = self._ring.seal(text, purpose=purpose_of(row))
        return row
