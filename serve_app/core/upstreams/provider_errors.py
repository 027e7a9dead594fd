"""What is said of providers that cannot be registered, changed or found."""

from collections.abc import Sequence

from serve_app.core.errors import InvalidRequest, NotFound
from serve_app.core.message import Message


class Violation(Message):
    """A rule that a field breaks. The detail never has a key in it."""

    field: str
    detail: str


class InvalidProvider(InvalidRequest):
    """What was sent breaks these rules."""

    violations: tuple[Violation, ...] = ()

    @classmethod
    def of(cls, violations: Sequence[Violation]) -> "InvalidProvider":
        """The error with all of them; it is about the field of the first."""
        details = dict.fromkeys(each.detail for each in violations)
        error = cls("; ".join(details), param=violations[0].field)
        error.violations = tuple(violations)
        return error


class UnknownProvider(NotFound):
    """There is none of this id or name, or no longer."""
