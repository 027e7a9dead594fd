"""The tables of providers, and of the record of changes."""

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from serve_app.database.table import Number, Table


class ProviderRow(Table):
    """A provider. A deleted one keeps its row, without secrets, so that its audit records can be
    understood; its name is free.
    """

    __tablename__ = "providers"
    __table_args__ = (
        Index(
            "live_providers_by_name",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    type: Mapped[str]
    name: Mapped[str]
    display_name: Mapped[str]
    icon: Mapped[str]
    enabled: Mapped[bool]
    base_url: Mapped[str]
    settings: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    revision: Mapped[int]
    created_at: Mapped[float]
    updated_at: Mapped[float]
    deleted_at: Mapped[float | None]


class ProviderSecretRow(Table):
    """A secret of a provider: `role` is `api_key`, of which there can be many in an order, or the
    name of a credential of its settings. `sealed` is encrypted.
    """

    __tablename__ = "provider_secrets"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    provider_id: Mapped[str] = mapped_column(
        ForeignKey("providers.id", ondelete="CASCADE"), index=True
    )
    role: Mapped[str]
    position: Mapped[int]
    masked: Mapped[str]
    sealed: Mapped[str]
    created_at: Mapped[float]


class AuditRow(Table):
    """Who has changed what. `details` never has a secret in it."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_by_subject", "kind", "subject"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(Number, primary_key=True)
    at: Mapped[float]
    owner: Mapped[str]
    credential: Mapped[str | None]
    action: Mapped[str]
    kind: Mapped[str]
    subject: Mapped[str]
    name: Mapped[str]
    details: Mapped[dict[str, Any]]
