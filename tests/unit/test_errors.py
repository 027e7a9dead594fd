"""The error tree: every class has a place in the contract and survives a process boundary."""

import ast
import asyncio
import errno
import pickle
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayTaskError

import serve_app
from serve_app.core import errors
from serve_app.core.errors import AppError, InternalError, ModelNotFound, QueueFull
from serve_app.core.jobs import failure_of
from serve_app.remote.family import remote_errors
from serve_app.runtime.unexpected import only_expected
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
    fields: dict[str, Any] = {"remedy": "r", "param": "p", "provider": "q", "code": "c"}
    error = kind("m", **fields, retry_after_s=1.5, job_id="j", stage="s")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.__dict__ == error.__dict__
    assert str(copy) == str(error) == "m; r"


def test_a_remedy_stands_behind_the_problem() -> None:
    error = ModelNotFound("unknown model 'x'", remedy="models: 'y'", stage="speak")
    assert (error.problem, error.remedy) == ("unknown model 'x'", "models: 'y'")
    assert error.message == str(error) == "unknown model 'x'; models: 'y'"
    assert error.explanation == "stage 'speak': unknown model 'x'; models: 'y'"
    for copy in (pickle.loads(pickle.dumps(error)), error.about("a"), failure_of(error).error()):
        assert (copy.message, copy.remedy) == (error.message, error.remedy)
        assert str(copy) == str(error)


def sources() -> list[Path]:
    root = Path(serve_app.__file__).parents[1]
    return [
        path
        for name in ("serve_app", "deployments", "pipelines")
        for path in root.glob(f"{name}/**/*.py")
    ]


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def test_nobody_writes_a_remedy_into_the_problem() -> None:
    """What names an error class and begins with a text that has both parts."""
    kinds = {kind.__name__ for kind in subclasses(AppError)} | {"AppError", "ServiceError"}
    found = [
        f"{path.name}:{call.lineno}"
        for path in sources()
        for call in calls(path)
        if call.args and ast.unparse(call.func).rpartition(".")[2] in kinds
        for text in ast.walk(call.args[0])
        if isinstance(text, ast.Constant) and "; " in str(text.value)
    ]
    assert found == []


def test_nobody_looks_for_a_remedy_in_a_message() -> None:
    cutting = {"split", "rsplit", "partition", "rpartition"}
    found = [
        f"{path.name}:{call.lineno}"
        for path in sources()
        for call in calls(path)
        if ast.unparse(call.func).rpartition(".")[2] in cutting
        and any(isinstance(mark, ast.Constant) and mark.value in (";", "; ") for mark in call.args)
        and "message" in ast.unparse(call.func)
    ]
    assert found == []


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


@pytest.mark.parametrize(
    "surprise",
    [RuntimeError("/secret"), TimeoutError("/secret"), asyncio.CancelledError("/secret")],
)
async def test_what_nobody_foresaw_in_a_stream_is_one_error(surprise: BaseException) -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise surprise

    stream = only_expected(broken(), "'family'", provider="family")
    assert await anext(stream) == 1
    with pytest.raises(InternalError) as caught:
        await anext(stream)
    assert caught.value.message == "'family' failed unexpectedly; the server's log says why"
    assert caught.value.provider == "family"


async def test_a_full_disk_is_told_whatever_a_library_made_of_it() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        try:
            raise OSError(errno.ENOSPC, "no room", "/secret")
        except OSError:
            raise RuntimeError("cannot write /secret")  # noqa: B904 - as libraries do

    stream = only_expected(broken(), "'family'")
    assert await anext(stream) == 1
    with pytest.raises(errors.BackendUnavailable, match="a disk of the server is full") as caught:
        await anext(stream)
    assert "/secret" not in caught.value.message


async def test_a_stream_whose_reader_is_cancelled_is_cancelled() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            await asyncio.Event().wait()
            yield 1
        finally:
            closed.set()

    async def read() -> None:
        async for _ in only_expected(endless(), "'family'"):
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


async def test_what_a_reader_throws_into_a_stream_is_the_readers_own() -> None:
    """As Serve does it with a stream whose client is gone."""

    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    stream = only_expected(numbers(), "'family'")
    assert await anext(stream) == 1
    with pytest.raises(asyncio.CancelledError):
        await stream.athrow(asyncio.CancelledError())
