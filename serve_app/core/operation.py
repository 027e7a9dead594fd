"""`Operation`: a request that declares its own name, task, verb and result."""

from collections.abc import AsyncIterator
from functools import cache
from typing import Any, ClassVar, Generic, Protocol, cast, get_args

from typing_extensions import TypeVar

from serve_app.core.message import Message, Progress
from serve_app.core.tasks import Task

R = TypeVar("R", bound=Message)
Item = TypeVar("Item", bound=Message)
ItemOf = TypeVar("ItemOf", bound=Message, covariant=True, default=Progress | R)
"""`Item` for the class alone: mypy takes no such default in functions."""

OPERATIONS: "dict[str, type[Operation[Any]]]" = {}
"""Every operation that has been imported, by name; `core.operations` imports them all."""


class Operation(Message, Generic[R, ItemOf]):
    """A request that the server can fulfil. R is the one message that it results in, and ItemOf
    what its stream yields: Progress and last the result, unless the operation says otherwise. Of
    text and audio, the result is made of the whole stream.

    `name` is public; the part before its dot is the operation's medium, where it has one. Engines
    of `task` run it by the method `verb`; a pipeline has no task. With `answers_once` the verb is a
    coroutine. `result` is R.
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
    def result_type(cls) -> type[R]:
        """`result`, as the type checker knows it."""
        return cast("type[R]", cls.result)

    @classmethod
    def known_fields(cls) -> frozenset[str]:
        """Its fields, and those of the operations in its fields."""
        return _known_fields(cls)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Enter it by its name, with the result that its type parameter names."""
        super().__pydantic_init_subclass__(**kwargs)
        if "name" in vars(cls):
            cls.result = _result_of(cls)
            OPERATIONS[cls.name] = cls


def _result_of(kind: type[Operation[Any]]) -> type[Message]:
    """What the first of its bases that is given type parameters is given as R."""
    for base in kind.__mro__:
        given = getattr(base, "__pydantic_generic_metadata__", {}).get("args")
        if given and issubclass(base, Operation) and isinstance(given[0], type):
            result: type[Message] = given[0]
            return result
    raise TypeError(f"{kind.__name__} does not say what it results in; write Operation[Result]")


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

    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        """The one way to run anything; see `Run`."""
        ...


class Run(Protocol):
    """The one way to run anything."""

    def __call__(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        """Run it: what the operation's stream yields. What answers once is a stream of one item.
        Closing the stream cancels the work.

        Raises what the look-up of the operation's model raises, and AppErrors as they come.
        """
        ...
