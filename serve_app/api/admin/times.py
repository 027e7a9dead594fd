"""Times on the wire: RFC 3339 in UTC."""

from datetime import UTC, datetime


def rfc3339(at: float) -> str:
    """`2026-01-31T12:00:00Z` from a unix second."""
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def optional_rfc3339(at: float | None) -> str | None:
    """The same, None for None."""
    return None if at is None else rfc3339(at)
