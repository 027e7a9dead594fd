"""When uploads were last used. Those that are there count as used now."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("blob_references", schema=None) as batch_op:
        batch_op.add_column(sa.Column("used_at", sa.Float(), nullable=True))
        batch_op.create_index(batch_op.f("ix_blob_references_used_at"), ["used_at"], unique=False)
    references = sa.table("blob_references", sa.column("holder"), sa.column("used_at"))
    op.execute(
        references.update().where(references.c.holder == "upload").values(used_at=time.time())
    )


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("blob_references", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_blob_references_used_at"))
        batch_op.drop_column("used_at")
