"""What a repetition of a call is known by, and when the caller of a job left."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("call_digest", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("idempotency_key", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("left_at", sa.Float(), nullable=True))
        batch_op.add_column(
            sa.Column("is_awaited", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.create_index("jobs_by_key", ["owner", "idempotency_key"], unique=True)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index("jobs_by_key")
        batch_op.drop_column("is_awaited")
        batch_op.drop_column("left_at")
        batch_op.drop_column("idempotency_key")
        batch_op.drop_column("call_digest")
