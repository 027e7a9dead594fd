"""`ProviderEdit`: one change of the registry inside a transaction, with its audit record."""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from serve_app.access.tokens import Principal
from serve_app.core.upstreams.bedrock import check_credentials, settings_after
from serve_app.core.upstreams.provider import NewProvider, ProviderChange
from serve_app.database.revisions import announce_change
from serve_app.database.schema import ProviderRow
from serve_app.upstreams.audit import PROVIDER, Action, record_change
from serve_app.upstreams.provider_records import REVISION, StoredProvider
from serve_app.upstreams.provider_secrets import SecretChange, SecretsAfter
from serve_app.upstreams.sealing import KeyRing

LATER_S = 1e-5
"""By which a change is later than the one before, whatever the clock says."""
PLAIN_FIELDS = ("display_name", "icon", "enabled", "base_url")


@dataclass(frozen=True)
class ProviderEdit:
    """Who changes something, and when. What it changes has been checked field by field."""

    session: Session
    ring: KeyRing
    by: Principal
    now: float

    def add(self, new: NewProvider) -> str:
        """The id of a new provider."""
        row = ProviderRow(
            **new.model_dump(include={"type", "name", *PLAIN_FIELDS}),
            id=str(uuid.uuid4()),
            settings=None,
            revision=1,
            created_at=self.now,
            updated_at=self.now,
            deleted_at=None,
        )
        self.session.add(row)
        self.session.flush()
        keys = [{"api_key": key} for key in new.api_keys]
        change = ProviderChange.model_validate({"api_keys": keys, "settings": new.settings})
        after = self._merge(StoredProvider(row, ()), change)
        self._record("create", row, {"fields": _fields(row)} | after.details())
        return row.id

    def change(self, stored: StoredProvider, change: ProviderChange) -> None:
        """Apply a change. InvalidRequest where it does not fit to what there is."""
        row, before = stored.row, _fields(stored.row)
        for name in PLAIN_FIELDS:
            value = getattr(change, name)
            if value is not None:
                setattr(row, name, value)
        after = self._merge(stored, change)
        row.revision += 1
        row.updated_at = self._later(row)
        changed = {
            name: [before[name], value]
            for name, value in _fields(row).items()
            if value != before[name]
        }
        self._record("update", row, {"fields": changed} | after.details())

    def remove(self, stored: StoredProvider) -> None:
        """Take a provider out of service, and destroy its secrets."""
        row = stored.row
        after = SecretsAfter(stored.secrets, (), {})
        after.write(self.session)
        row.enabled, row.settings = False, None
        row.deleted_at = row.updated_at = self._later(row)
        self._record("delete", row, after.details())

    def _merge(self, stored: StoredProvider, change: ProviderChange) -> SecretsAfter:
        """Settings and secrets as they are after a change, checked against each other."""
        row = stored.row
        settings = settings_after(row.type, stored.settings, change.settings)
        after = SecretChange(stored, self.ring, now=self.now).after(change)
        check_credentials(
            row.type, settings, has_keys=bool(after.keys), credentials=after.credentials
        )
        row.settings = None if settings is None else settings.model_dump()
        after.write(self.session)
        return after

    def _later(self, row: ProviderRow) -> float:
        return max(self.now, row.updated_at + LATER_S)

    def _record(self, action: Action, row: ProviderRow, details: dict[str, Any]) -> None:
        record_change(
            self.session,
            action,
            by=self.by,
            kind=PROVIDER,
            subject=row.id,
            name=row.name,
            details=details,
            now=row.updated_at,
        )
        announce_change(self.session, REVISION)


def _fields(row: ProviderRow) -> dict[str, Any]:
    """What an audit record says of a row; nothing of it is secret."""
    return {name: getattr(row, name) for name in ("type", *PLAIN_FIELDS, "settings")}
