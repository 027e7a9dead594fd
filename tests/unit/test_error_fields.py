"""Errors of an operation that another one needs are about the fields of that one."""

import pickle

import pytest

from serve_app.core.error_fields import renamed, renamed_error_fields
from serve_app.core.errors import AppError, InvalidRequest, Unavailable
from serve_app.core.jobs import failure_of
from serve_app.core.operation import OPERATIONS
from serve_app.core.stages import PlainStage
from serve_app.core.video.production import ProduceVideo

FIELDS = {"text": "input", "voice": None}


@pytest.mark.parametrize(
    ("param", "own"),
    [
        ("text", "input"),
        ("text[2].x", "input[2].x"),
        ("texts", "texts"),
        ("voice", None),
        ("model", "model"),
        (None, None),
    ],
)
def test_a_path_gets_another_beginning(param: str | None, own: str | None) -> None:
    assert renamed(param, FIELDS) == own


def test_the_error_that_was_raised_names_the_other_field() -> None:
    error = InvalidRequest("'text' is the first word", param="text")
    with (
        pytest.raises(InvalidRequest) as caught,
        renamed_error_fields({"input": "prompt"}),
        renamed_error_fields(FIELDS),
    ):
        raise error
    assert (caught.value.param, caught.value.message) == ("prompt", "'text' is the first word")


def test_who_shares_an_error_has_it_as_it_was() -> None:
    """All calls of a micro-batch end with one."""
    cause = ValueError("cause")
    error = InvalidRequest("too long", param="text", stage="voice")
    error.__cause__ = cause
    names = []
    for _ in range(2):
        with (
            pytest.raises(InvalidRequest) as caught,
            renamed_error_fields({"text": "input", "input": "x"}),
        ):
            raise error
        names.append(caught.value.param)
        assert caught.value.__cause__ is cause
        assert caught.value.stage == "voice"
    assert names == ["input", "input"]
    assert error.param == "text"


async def test_the_innermost_stage_stays() -> None:
    async def broken() -> None:
        raise Unavailable("it broke")

    async def outer() -> None:
        await PlainStage()("voice", broken)

    with pytest.raises(AppError) as caught:
        await PlainStage()("video", outer)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (error.stage, error.message) == ("voice", "it broke")
        assert error.explanation == "stage 'voice': it broke"
    assert failure_of(caught.value).error().explanation == "stage 'voice': it broke"


def test_an_operation_knows_the_fields_of_its_parts() -> None:
    assert {"count", "duration_s"} <= ProduceVideo.known_fields()
    assert all(set(kind.model_fields) <= kind.known_fields() for kind in OPERATIONS.values())
