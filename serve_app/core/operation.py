"""`Operation`: a request that declares its own name, task, verb and result."""

from collections.abc import AsyncIterator
from functools import cache
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_args

from serve_app.core.message import Message, Progress
from serve_app.core.tasks import Task

R = TypeVar("R", bound=Message, covariant=True)

OPERATIONS: "dict[str, type[Operation[Any]]]" = {}
"""Every operation that has been imported, by name; `core.operations` imports them all."""


class Operation(Message, Generic[R]):
    """A request that the server can fulfil; R is what its stream yields besides Progress, last
    the result.

    `name` is public; the part before its dot is the operation's medium, where it has one. Engines
    of `task` run it by the method `verb`; a pipeline has no task. `result` is the one message that
    it results in, made of the whole stream where that is text or audio. With `answers_once` the
    verb is a coroutine.
    """

    name: ClassVar[str]
    task: ClassVar[Task | None] = None
    verb: ClassVar[str]
    result: ClassVar[type[Message]]
    answers_once: ClassVar[bool] = False

    @property
    def model_name(self) -> str | None:
        """The model that it is for; None for work that needs none."""
        return getattr(self, "model", None)

    @property
    def fits_one_message(self) -> bool:
        """Whether all that its stream brings is small enough to be sent at once."""
        return False

    @classmethod
    def known_fields(cls) -> frozenset[str]:
        """Its fields, and those of the operations in its fields."""
        return _known_fields(cls)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Enter it by its name."""
        super().__pydantic_init_subclass__(**kwargs)
        if "name" in vars(cls):
            OPERATIONS[cls.name] = cls


@cache
def _known_fields(kind: type[Operation[Any]]) -> frozenset[str]:
    found = set(kind.model_fields)
    for field in kind.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, Operation):
                found |= _known_fields(part)
    return frozenset(found)


class OperationRunner(Protocol):
    """What runs the operations of a family."""

    def run(self, operation: Operation[R]) -> AsyncIterator[Progress | R]:
        """The one way to run anything; see `Run`."""
        ...


class Run(Protocol):
    """The one way to run anything."""

    def __call__(self, operation: Operation[R]) -> AsyncIterator[Progress | R]:
        """Run it: Progress as it goes, and what the operation brings, last its outcome. What
        answers once is a stream of one item. Closing the stream cancels the work.

        Raises what the look-up of the operation's model raises, and AppErrors as they come.
        """
        ...
