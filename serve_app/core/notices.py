"""`Notice`: what a result says besides, of a soft failure or of what had no effect."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import model_validator
from typing_extensions import override

from serve_app.core.message import Message

NO_NAMES: Mapping[str, str] = {}


class Notice(Message):
    """A soft failure, shown to callers. `field` is the path of the field of the operation that it
    is about, which the text does not begin with: every dialect has its own name for it. Where a
    dialect may have names for the field's values, too, they are `values`, and in the text `{}`
    stands for each. What earlier versions have recorded is a text.
    """

    text: str
    field: str | None = None
    values: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, content: Any) -> Any:
        return {"text": content} if isinstance(content, str) else content

    def explained(self, names: Mapping[str, str] = NO_NAMES) -> str:
        """The text, with values by those names that there are."""
        values = [names.get(value, value) for value in self.values]
        return self.text.format(*values) if values else self.text

    def about(self, field: str | None) -> Self:
        """The same of another field."""
        return self.model_copy(update={"field": field})

    @override
    def __str__(self) -> str:
        """As the core has it."""
        return with_field(self.field, self.explained())


def with_field(field: str | None, text: str) -> str:
    """The text after what the caller calls the field."""
    return text if field is None else f"{field}: {text}"


def as_notices(recorded: Iterable[Notice | str]) -> tuple[Notice, ...]:
    """Those of a stage's record, in which earlier versions have written texts."""
    return tuple(Notice.model_validate(item) for item in recorded)
