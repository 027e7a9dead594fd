"""The error tree: every class has a place in the contract and survives a process boundary."""

import pickle
from collections.abc import Iterator

import pytest
from ray.exceptions import RayTaskError

from serve_app.core import errors
from serve_app.core.errors import AppError, ModelNotFound, QueueFull
from serve_app.remote import remote_errors
from tests.error_contract import CONTRACT


def subclasses(parent: type[AppError]) -> Iterator[type[AppError]]:
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from subclasses(child)


def test_every_class_is_in_the_contract() -> None:
    assert {kind.__name__ for kind in subclasses(AppError)} == {*CONTRACT, "Unavailable"}


@pytest.mark.parametrize("name", CONTRACT)
def test_status_code_type_and_kind(name: str) -> None:
    error: AppError = getattr(errors, name)("what happened")
    assert (error.status, error.code, error.type, error.kind) == CONTRACT[name]


@pytest.mark.parametrize("kind", list(subclasses(AppError)), ids=lambda kind: kind.__name__)
def test_pickling_keeps_everything(kind: type[AppError]) -> None:
    error = kind("m", param="p", provider="q", code="c", retry_after_s=1.5, job_id="j")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.__dict__ == error.__dict__
    assert str(copy) == "m"


def test_what_a_handle_raises_becomes_the_original() -> None:
    """Ray raises a subclass made on the fly, whose text holds the remote traceback."""
    original = ModelNotFound("unknown model 'x'", param="model")
    twin = RayTaskError("f", "Traceback: /secret", original).as_instanceof_cause()
    with pytest.raises(ModelNotFound) as caught, remote_errors("family"):
        raise twin
    assert type(caught.value) is ModelNotFound
    assert caught.value.__dict__ == original.__dict__


def test_back_pressure_is_a_full_queue() -> None:
    from ray.serve.exceptions import BackPressureError

    with pytest.raises(QueueFull) as caught, remote_errors("family"):
        raise BackPressureError(num_queued_requests=3, max_queued_requests=2)
    assert caught.value.retry_after_s
    assert "'family'" in caught.value.message


def test_an_unforeseen_remote_error_leaks_nothing() -> None:
    remote = RayTaskError("f", "Traceback: /secret", RuntimeError("/secret"))
    with pytest.raises(errors.InternalError) as caught, remote_errors("family"):
        raise remote
    assert "/secret" not in caught.value.message
