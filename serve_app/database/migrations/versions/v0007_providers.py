"""Providers with their secrets, and who has changed what."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_LIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "providers",
        sa.Column("id", sa.String(36), nullable=False),
        *(_text(name) for name in ("type", "name", "display_name", "icon")),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        _text("base_url"),
        sa.Column("settings", sa.JSON(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("deleted_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        *("live_providers_by_name", "providers", ["name"]),
        unique=True,
        sqlite_where=IS_LIVE,
        postgresql_where=IS_LIVE,
    )
    _add_secrets()
    _add_audit()


def downgrade() -> None:
    """Take back."""
    for table in ("audit", "provider_secrets", "providers"):
        op.drop_table(table)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=False)


def _add_secrets() -> None:
    op.create_table(
        "provider_secrets",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("provider_id", sa.String(36), nullable=False),
        _text("role"),
        sa.Column("position", sa.Integer(), nullable=False),
        *(_text(name) for name in ("masked", "sealed")),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["provider_id"], ["providers.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_provider_secrets_provider_id", "provider_secrets", ["provider_id"])


def _add_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        _text("owner"),
        sa.Column("credential", sa.Text(), nullable=True),
        *(_text(name) for name in ("action", "kind", "subject", "name")),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_subject", "audit", ["kind", "subject"])
