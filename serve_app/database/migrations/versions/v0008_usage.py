"""What was used, the token that a job is charged to, and the budgets of tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
COUNTS = (
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "images",
)
KEY = ("day", "token", "owner", "model", "provider")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "usage",
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False, autoincrement=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in KEY[2:]),
        *_amounts(),
        sa.PrimaryKeyConstraint(*KEY),
    )
    op.create_index("usage_by_token", "usage", ["token", "day"])
    op.create_table(
        "usage_totals",
        *(sa.Column(name, sa.Text(), nullable=False) for name in KEY[3:]),
        *_amounts(),
        sa.PrimaryKeyConstraint(*KEY[3:]),
    )
    op.add_column("jobs", sa.Column("token", sa.BigInteger(), nullable=True))
    op.add_column("tokens", sa.Column("budget", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("tokens", "budget")
    op.drop_column("jobs", "token")
    op.drop_table("usage_totals")
    op.drop_table("usage")


def _amounts() -> list["sa.Column[int] | sa.Column[float]"]:
    return [
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("audio_s", "video_s", "cost")),
    ]
