"""`ServiceBody`: what every operation is asked with, read from arguments in any spelling."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import Field, ValidationError

from serve_app.api.ai_server.arguments import Arguments
from serve_app.api.ai_server.scalars import FORMAT, Words
from serve_app.api.ai_server.service_error import FieldProblem, ServiceError
from serve_app.api.wire_object import WireObject
from serve_app.core.jobs import RefId
from serve_app.database.text import is_storable

RULES = ("NotEmpty", "GreaterThan", "InclusiveBetween")
CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
SHORT = 200
BodyT = TypeVar("BodyT", bound="ServiceBody")


class ServiceBody(WireObject):
    """The fields that all operations share. `names` has other names for fields."""

    names: ClassVar[Mapping[str, Sequence[str]]] = {}

    ref_id: Words | None = None
    tag: Annotated[Words, Field(max_length=SHORT)] | None = None
    reply_to: Annotated[Words, Field(max_length=4096)] | None = None
    state: Annotated[Words, Field(max_length=4096)] | None = None


class RefIdBody(WireObject):
    """A caller's name for a job, as all dialects have it."""

    ref_id: RefId


def bound(kind: type[BodyT], arguments: Arguments) -> BodyT:
    """The body that the arguments make. ServiceError for what is missing, against a rule or
    unreadable.
    """
    values: dict[str, Any] = {}
    for name in kind.model_fields:
        spellings = (name, *kind.names.get(name, ()))
        found = [value for spelling in spellings for value in arguments.find(spelling)]
        given = [value for value in found if _is_given(value, is_text=name in _texts_of(kind))]
        if given:
            values[name] = given[0]
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise invalid(error.errors()) from None


def checked_ref_id(text: str) -> str:
    """A caller's name of a job. ServiceError for one that jobs cannot have."""
    try:
        return RefIdBody(ref_id=text).ref_id
    except ValidationError:
        message = (
            "'Ref Id' has 1 to 128 letters, digits, '.', '_', ':' and '-', is no number and does "
            "not begin with 'job-'."
        )
        problem = FieldProblem("ArgumentException", "RefId", message)
        raise ServiceError(message, problems=[problem]) from None


def checked_texts(values: Mapping[str, str | None]) -> None:
    """ServiceError for a text that no database keeps."""
    for name, text in values.items():
        if text is not None and not is_storable(text):
            raise ServiceError(f"'{shown(name)}' contains the character NUL", error_code=FORMAT)


def invalid(errors: Sequence[Any]) -> ServiceError:
    """What is wrong with the fields: all that is against a rule, else the first that cannot be
    read.
    """
    problems = [_problem(error) for error in errors]
    unreadable = [problem for problem in problems if problem.code == FORMAT]
    told = unreadable[:1] or problems
    return ServiceError(told[0].message, error_code=told[0].code, problems=told)


def pascal(name: str) -> str:
    """`PositivePrompt` of `positive_prompt`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def shown(name: str) -> str:
    """`Positive Prompt`, as messages call it."""
    return CAPITAL.sub(" ", pascal(name))


def _problem(error: Mapping[str, Any]) -> FieldProblem:
    where = error["loc"]
    name = str(where[0]) if where else "request"
    match error["type"]:
        case "missing":
            code, text = "NotEmpty", "must not be empty."
        case kind if kind in RULES:
            code, text = kind, error["msg"]
        case _:
            code, text = FORMAT, str(error["msg"])
    path = "".join(f"[{part}]" if isinstance(part, int) else "" for part in where[1:])
    return FieldProblem(code, pascal(name) + path, f"'{shown(name)}' {text}")


def _is_given(value: Any, *, is_text: bool) -> bool:
    """Whether it is there: of what is no text, nothing empty is."""
    if value is None:
        return False
    if is_text:
        return True
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, list):
        return any(_is_given(item, is_text=False) for item in value)
    return bool(value != {})


@cache
def _texts_of(kind: type[ServiceBody]) -> frozenset[str]:
    """The fields that are texts."""
    fields = kind.model_fields.items()
    return frozenset(name for name, field in fields if _is_text(field.annotation))


def _is_text(annotation: Any) -> bool:
    if annotation is str:
        return True
    if get_origin(annotation) in (list, dict, tuple, Literal):
        return False
    return any(_is_text(each) for each in get_args(annotation))
