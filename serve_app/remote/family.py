"""A family over a Serve handle, so that callers never see Ray."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator
from typing_extensions import override

from serve_app.catalog.engine_runner import single
from serve_app.core.costs import METER, BusyTime
from serve_app.core.errors import AppError, BackendUnavailable, QueueFull
from serve_app.core.loading import Loadable
from serve_app.core.operation import Item, Operation, OperationRunner
from serve_app.core.status import ModelStatus, over_replicas
from serve_app.runtime.streams import GatherableItems
from serve_app.runtime.unexpected import unexpected_errors


@contextmanager
def remote_errors(name: str) -> Generator[None]:
    """Turn what a handle raises into the error tree; an AppError comes back as it was raised, which
    is all that leaves a replica of ours. The rest is Serve's.
    """
    with unexpected_errors(repr(name), provider=name), _serves_errors(name):
        yield


@contextmanager
def _serves_errors(name: str) -> Generator[None]:
    try:
        yield
    except AppError as error:
        # A RayTaskError twin of the error; the original hangs on it and has no remote traceback.
        cause = getattr(error, "cause", None)
        raise (cause if isinstance(cause, AppError) else error) from None
    except BackPressureError:
        raise QueueFull(
            f"too many requests are waiting for {name!r}", remedy="try again later", retry_after_s=5
        ) from None
    except RayActorError:
        raise BackendUnavailable(
            f"the process of {name!r} died while it worked on this",
            remedy="try again",
            provider=name,
            retry_after_s=2,
        ) from None
    except DeploymentUnavailableError:
        raise BackendUnavailable(
            f"{name!r} cannot be started", remedy="the server's log says why", provider=name
        ) from None


class Remote(OperationRunner, Loadable):
    """A family or pipeline behind a handle."""

    def __init__(
        self, name: str, handle: DeploymentHandle[Any], *, has_several_models: bool = False
    ) -> None:
        self.name = name
        self._has_several_models = has_several_models
        # Requests are messages of importable classes, which plain pickle writes at a third of the
        # cost; answers may be errors of any class.
        handle = handle.options(request_serialization="pickle")
        self._call_handle = handle.options(method_name="call")
        self._stream_handle = handle.options(method_name="stream", stream=True)
        self._metered_call_handle = handle.options(method_name="metered_call")
        self._metered_stream_handle = handle.options(method_name="metered_stream", stream=True)
        self._gather_handle = handle.options(method_name="gather")
        self._metered_gather_handle = handle.options(method_name="metered_gather")
        self._load_handle = handle.options(method_name="load_model")
        self._every_handle = handle

    @override
    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        """What has no model goes by the family's name."""
        verb, model_id = operation.verb, operation.model_name or self.name
        if operation.answers_once:
            return single(self._call(verb, model_id, operation))
        items = self._stream(verb, model_id, operation)
        if not operation.fits_one_message:
            return items
        # Made when the first item is asked for; all at once takes half of the messages.
        return GatherableItems(items, partial(self._gather, verb, model_id, operation))

    async def status(self) -> tuple[ModelStatus, ...]:
        """The models' states over all running replicas. Unavailable when there is none."""
        with remote_errors(self.name):
            answers = await self._every("status")
            return over_replicas(status for answer in answers for status in answer)

    @override
    async def load_model(self, model_id: str) -> ModelStatus:
        """One of the replicas does it; it is started when there is none."""
        with remote_errors(self.name):
            handle = self._routed(self._load_handle, model_id)
            return cast("ModelStatus", await handle.remote(model_id))

    @override
    async def unload_model(self, model_id: str) -> ModelStatus:
        """Every running replica does it; none is started for it."""
        with remote_errors(self.name):
            try:
                (status,) = over_replicas(await self._every("unload_model", model_id))
            except DeploymentUnavailableError:
                return ModelStatus(id=model_id, state="unloaded")
            return status

    async def _every(self, method: str, *arguments: object) -> list[Any]:
        """What the running replicas answer; those that fail are left out unless all do."""
        response = self._every_handle.broadcast(method, *arguments)
        answers = await response.results_async(return_exceptions=True)
        good = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not good:
            raise next(answer for answer in answers if isinstance(answer, BaseException))
        return good

    async def _call(self, verb: str, model_id: str, *arguments: object) -> Any:
        handles = (self._call_handle, self._metered_call_handle)
        return await self._once(handles, verb, model_id, *arguments)

    async def _gather(self, verb: str, model_id: str, *arguments: object) -> list[Any]:
        """What `_stream` yields, in one message."""
        handles = (self._gather_handle, self._metered_gather_handle)
        return cast("list[Any]", await self._once(handles, verb, model_id, *arguments))

    async def _once(
        self,
        handles: tuple[DeploymentHandle[Any], DeploymentHandle[Any]],
        verb: str,
        model_id: str,
        *arguments: object,
    ) -> Any:
        """The answer of the first handle, or of the second, which also says what it cost."""
        plain, metered = handles
        meter = METER.get()
        with remote_errors(self.name):
            if meter is None:
                return await self._routed(plain, model_id).remote(verb, model_id, *arguments)
            handle = self._routed(metered, model_id)
            answer, spent = await handle.remote(verb, model_id, *arguments)
        meter.device_s += spent.device_s
        return answer

    async def _stream(self, verb: str, model_id: str, *arguments: object) -> AsyncGenerator[Any]:
        meter = METER.get()
        handle = self._stream_handle if meter is None else self._metered_stream_handle
        remote = self._routed(handle, model_id).remote(verb, model_id, *arguments)
        response = cast("DeploymentResponseGenerator[Any]", remote)
        try:
            with remote_errors(self.name):
                async for batch in response:
                    for item in batch:
                        if isinstance(item, BusyTime) and meter is not None:
                            meter.device_s += item.device_s
                        else:
                            yield item
        finally:
            response.cancel()  # type: ignore[no-untyped-call]

    def _routed(self, handle: DeploymentHandle[Any], model_id: str) -> DeploymentHandle[Any]:
        """To a replica that holds the model, where replicas differ in what they hold."""
        return handle.options(multiplexed_model_id=model_id) if self._has_several_models else handle
