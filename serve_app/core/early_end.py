"""Operations whose result comes piece by piece, so that they can end before all of it is there."""

from abc import abstractmethod
from typing import Generic, Literal, Self, TypeVar

from serve_app.core.message import Message

EarlyEnd = Literal["finish", "skip"]
"""What somebody may ask of a running job: to end with what is there, or to leave out the piece that
is being made.
"""

M = TypeVar("M", bound=Message)


class EndsEarly(Message, Generic[M]):
    """A part of operations that result in M. With `can_end_early` their stream brings, besides
    Progress, an M of the pieces that are there whenever one is ready; the last one has all of them.
    """

    can_end_early: bool = False

    @abstractmethod
    def rest_after(self, made: M | None) -> Self | None:
        """What is left to do once that is there; None when nothing is."""

    @abstractmethod
    def joined(self, made: M | None, later: M) -> M:
        """What was there, and what `rest_after` it has brought."""

    @abstractmethod
    def skipping(self, made: M | None) -> M:
        """What is there without the piece that is being made, which is left out for good."""

    @abstractmethod
    def ended_with(self, made: M | None) -> M:
        """The result of an operation that ends with what is there, which may be nothing."""
