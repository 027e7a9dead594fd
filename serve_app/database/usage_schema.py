"""The tables of what was used."""

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from serve_app.database.table import Table


class AmountColumns:
    """The sums of a row, which only ever grow."""

    requests: Mapped[int] = mapped_column(BigInteger)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)
    cached_tokens: Mapped[int] = mapped_column(BigInteger)
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger)
    images: Mapped[int] = mapped_column(BigInteger)
    audio_s: Mapped[float]
    video_s: Mapped[float]
    cost: Mapped[float]


class UsageRow(AmountColumns, Table):
    """What was used on a day (UTC, `2026-01-31`). `token` is the token's id, 0 where the credential
    was a web session or none; `provider` is empty for the server's own models.
    """

    __tablename__ = "usage"
    __table_args__ = (Index("usage_by_token", "token", "day"),)

    day: Mapped[str] = mapped_column(primary_key=True)
    token: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    owner: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)


class UsageTotalRow(AmountColumns, Table):
    """The same of all days and callers together, so that a scrape reads a row per model."""

    __tablename__ = "usage_totals"

    model: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
