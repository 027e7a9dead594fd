"""How the result of an operation becomes the body of the call that asked for it.

Each route brings an `Answer`; the `Answers` of a dialect write the jobs of all of them, for who
waits and for who reads the job later, in any process.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from pydantic import JsonValue, ValidationError

from serve_app.api.served_files import ServedFiles
from serve_app.core.jobs import Job
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.operation import OPERATIONS


class AnswerOutput(Message):
    """The part of a request that decides the form of its answer, stored with the job as JSON; this
    class is for answers that have one form only.
    """

    def stored(self) -> dict[str, JsonValue]:
        """As it is kept."""
        kept: dict[str, JsonValue] = self.model_dump(mode="json", exclude_none=True)
        return kept

    def by_url(self) -> Self:
        """The same with files by URL."""
        return self

    @classmethod
    def read(cls, stored: Mapping[str, JsonValue]) -> Self:
        """What `stored` wrote. A job may be of another version or another dialect: what is not
        known here is left out.
        """
        known = {name: value for name, value in stored.items() if name in cls.model_fields}
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            wrong = {place["loc"][0] for place in error.errors()}
            return cls.model_validate({name: known[name] for name in known if name not in wrong})


@dataclass(frozen=True)
class PlainText:
    """An answer that is no JSON."""

    text: str
    mime: str = "text/plain"


AnswerBody = dict[str, Any] | PlainText
Tell = Callable[[Iterable[Notice]], list[str]]
"""What notices of an operation are in a dialect; see `Dialect.told`."""
OperationOf = TypeVar("OperationOf", bound=Message, covariant=True)
ResultOf = TypeVar("ResultOf", bound=Message, covariant=True)
OutputOf = TypeVar("OutputOf", bound=AnswerOutput, covariant=True)
Asked = TypeVar("Asked", bound=Message)
Made = TypeVar("Made", bound=Message)
Form = TypeVar("Form", bound=AnswerOutput)


@dataclass(frozen=True)
class Finished(Generic[OperationOf, ResultOf, OutputOf]):
    """An operation that succeeded, and everything that its answer is written from."""

    job: Job
    operation: OperationOf
    result: ResultOf
    output: OutputOf
    files: ServedFiles
    tell: Tell

    @property
    def created(self) -> int:
        """Unix seconds, the same whenever it is asked for."""
        return int(self.job.finished_at or self.job.created_at)

    def url(self, blob: Blob) -> str:
        """Where one of the job's files is."""
        return self.files.blob_url(blob, self.job.files)


@dataclass(frozen=True)
class Answer(Generic[Asked, Made, Form]):
    """How a route answers one operation. `write` is given the operation's own result, and where it
    `reads_operation`, the operation too, which may be another version's and unreadable.
    """

    operation: type[Asked]
    output: type[Form]
    write: Callable[[Finished[Asked, Made, Form]], Awaitable[AnswerBody]]
    reads_operation: bool = False


class Answers:
    """What a dialect answers, by operation."""

    def __init__(self, answers: Iterable[Answer[Any, Any, Any]] = ()) -> None:
        self._answers = {answer.operation: answer for answer in answers}

    def of(self, operation: str) -> Answer[Any, Any, Any] | None:
        """How an operation is answered; None for one that no route here brings, or that only
        another version of the server knows.
        """
        kind = OPERATIONS.get(operation)
        return self._answers.get(kind) if kind else None
