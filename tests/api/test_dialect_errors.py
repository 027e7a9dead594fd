"""Every error and warning of the core through every dialect: nobody hears the words of another."""

import json
import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from serve_app.api.call import dialect_errors
from serve_app.api.caller_jobs import failure, in_dialect
from serve_app.api.dialect import JOB, JOB_FIELDS, Dialect
from serve_app.api.dialects import DIALECTS
from serve_app.core.errors import AppError, StillRunning
from serve_app.core.jobs import Job, JobProgress, JobWarning, failure_of
from serve_app.core.operation import OPERATIONS
from serve_app.core.operations import Unreadable, core_fields
from tests.dialect_example import example

SPOKEN = (*DIALECTS, example())
PATHS = {dialect.name: dialect.prefixes[0] for dialect in SPOKEN}
OWN_PART = "a_part_of_its_own[2].url"


def kinds(root: type[AppError] = AppError) -> Iterator[type[AppError]]:
    """The error and all that inherit from it."""
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == AppError.__module__:
            yield from kinds(kind)


def each_core_field() -> Iterator[tuple[str, str]]:
    """Every operation with each of its fields, and what is asked for of jobs."""
    for operation, kind in OPERATIONS.items():
        for name in kind.model_fields:
            yield operation, name
    for name in sorted(JOB_FIELDS):
        yield JOB, name


def names_of(dialect: Dialect, operation: str) -> dict[str, str]:
    """What the dialect calls the fields of an operation and of its job in errors."""
    listed = {**dialect.fields.get(JOB, {}), **dialect.fields.get(operation, {})}
    own = {core: names if isinstance(names, str) else names[0] for core, names in listed.items()}
    if not dialect.is_native:
        return own
    core: type[BaseModel] | None = OPERATIONS.get(operation)
    sent = dialect.sent.get(operation, core.model_fields if core else ())
    fields = (*JOB_FIELDS, *(name for name in (core.model_fields if core else ()) if name in sent))
    return {name: name for name in fields} | own


def words_of_others(dialect: Dialect) -> set[str]:
    """What only other dialects call fields so."""
    return {
        word
        for other in SPOKEN
        if other is not dialect
        for listed in other.fields.values()
        for core, names in listed.items()
        for word in ([names] if isinstance(names, str) else names)
        if word != core and word not in OPERATIONS
    }


def warned(dialect: Dialect, operation: str, field: str, *, by: str | None = None) -> str:
    """The warning of a job, as a dialect shows it; the job is its own unless it is another's."""
    job = job_of(dialect, operation, AppError("it cannot be"))
    notice = JobWarning(field=field, text="it is odd", revision=1)
    changes = {"warnings": (notice,), "dialect": by or dialect.name}
    [told] = in_dialect(job.model_copy(update=changes), dialect).warnings
    assert str(told) == told.text
    assert dialect.told([notice], operation, is_own=by is None) == [told.text]
    return told.text


def raised(dialect: Dialect, operation: str, error: AppError) -> AppError:
    """What reaches the caller of an operation that raises this."""
    with pytest.raises(type(error)) as caught, dialect_errors(dialect, operation):
        raise error
    return caught.value


def job_of(dialect: Dialect, operation: str, error: AppError) -> Job:
    return Job(
        id="job-1",
        number=1,
        operation_name=operation,
        operation=Unreadable(),
        output={},
        owner="me",
        ref_id=None,
        tag=None,
        model=None,
        status="failed",
        created_at=1,
        started_at=1,
        finished_at=2,
        revision=1,
        position=None,
        progress=JobProgress(),
        stages=(),
        warnings=(),
        result=None,
        files={},
        failure=failure_of(error),
        callback_url=None,
        dialect=dialect.name,
    )


@pytest.mark.parametrize("dialect", SPOKEN, ids=lambda dialect: dialect.name)
def test_every_core_field_has_the_dialects_name_or_none(dialect: Dialect) -> None:
    for operation, field in each_core_field():
        expected = names_of(dialect, operation).get(field)
        for path in ("", "[2]", "[0].image", ".x[1]"):
            error = raised(dialect, operation, AppError("it cannot be", param=field + path))
            assert error.param == (expected and expected + path), (operation, field)


@pytest.mark.parametrize("dialect", SPOKEN, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("kind", [*kinds()], ids=lambda kind: kind.__name__)
def test_every_error_is_written_in_the_words_of_its_dialect(
    dialect: Dialect, kind: type[AppError]
) -> None:
    others = words_of_others(dialect)
    for operation in OPERATIONS:
        own = set(names_of(dialect, operation).values())
        for field in OPERATIONS[operation].model_fields:
            error = raised(dialect, operation, kind("it cannot be", param=field, job_id="job-1"))
            written = json.dumps(dialect.render_error(error, PATHS[dialect.name]))
            said = set(re.findall(r"\w+", written))
            assert not said & (others - own), (operation, field, written)
            if field not in own:
                assert error.param != field


@pytest.mark.parametrize("dialect", SPOKEN, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    # A job that goes on has not failed.
    "kind",
    [kind for kind in kinds() if kind is not StillRunning],
    ids=lambda kind: kind.__name__,
)
def test_a_job_that_failed_says_what_its_call_says(dialect: Dialect, kind: type[AppError]) -> None:
    for operation, field in each_core_field():
        if operation == JOB:
            continue
        told = failure(job_of(dialect, operation, kind("no", param=field)), dialect)
        assert told is not None
        assert told.param == names_of(dialect, operation).get(field)


@pytest.mark.parametrize("dialect", SPOKEN, ids=lambda dialect: dialect.name)
def test_every_warning_names_the_fields_of_its_dialect_or_none(dialect: Dialect) -> None:
    others = words_of_others(dialect)
    for operation, kind in OPERATIONS.items():
        listed = dialect.fields.get(operation, {})
        for field in kind.known_fields():
            is_sent = field in dialect.sent.get(operation, kind.known_fields())
            found = listed.get(field, field if dialect.is_native and is_sent else ())
            names = (found,) if isinstance(found, str) else found
            for path in ("", "[2]", "[0].image"):
                places = ", ".join(name + path for name in names)
                expected = f"{places}: it is odd" if places else "it is odd"
                assert warned(dialect, operation, field + path) == expected, (operation, field)
        # As where an operation is done by others, or the field is one of the result's.
        own = {*names_of(dialect, operation).values(), *core_fields()}
        for field in core_fields() - kind.known_fields():
            text = warned(dialect, operation, field)
            assert text == (f"{field}: it is odd" if dialect.is_native else "it is odd")
            assert not {*re.findall(r"\w+", text)} & (others - own), (operation, field)


@pytest.mark.parametrize("dialect", SPOKEN, ids=lambda dialect: dialect.name)
def test_a_field_of_the_callers_own_is_named_in_the_callers_dialect_alone(
    dialect: Dialect,
) -> None:
    for operation in OPERATIONS:
        assert warned(dialect, operation, OWN_PART) == f"{OWN_PART}: it is odd"
        assert warned(dialect, operation, OWN_PART, by="another") == "it is odd"


@pytest.mark.parametrize("dialect", SPOKEN, ids=lambda dialect: dialect.name)
def test_a_part_of_the_callers_own_keeps_its_name(dialect: Dialect) -> None:
    for operation in (JOB, *OPERATIONS):
        error = raised(dialect, operation, AppError("it cannot be", param=OWN_PART))
        assert error.param == OWN_PART
        assert raised(dialect, operation, AppError("it cannot be")).param is None
