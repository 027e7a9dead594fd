"""A short cut for routes that are asked often: the gate is followed directly by the route. Where
pydantic reads the body, everything unusual, above all an invalid body, goes through FastAPI from
the beginning, which says what is wrong.
"""

import inspect
from collections import deque
from collections.abc import Callable
from typing import Any, get_type_hints

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.call import get_call
from serve_app.api.errors import from_http_exception
from serve_app.api.route_table import route_of

PARAMETERS = ("body", "call")
JSON = b"application/json"


class DirectRoute(APIRoute):
    """A route that takes a JSON body and what `PARAMETERS` names, and answers with a response."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        parameters = tuple(inspect.signature(endpoint).parameters)
        if parameters != PARAMETERS:
            raise TypeError(f"{endpoint.__name__} takes {parameters}, not {PARAMETERS}")
        body: type[BaseModel] = get_type_hints(endpoint)["body"]
        self._read = body.__pydantic_validator__.validate_json

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer, unless the body is not what is expected; whether it was."""
        request = Request(scope, receive, send)
        try:
            body = self._read(await request.body())
        except (ValidationError, HTTPException, ClientDisconnect):
            return False
        response = await self.endpoint(body, await get_call(request))
        await response(scope, receive, send)
        return True


class RequestRoute(APIRoute):
    """A route that takes the call and reads its request itself, whatever type that is of: nothing
    is left for the framework to do.
    """

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Raises AppError for a body over a limit, as FastAPI's handlers would."""
        request = Request(scope, receive, send)
        try:
            response = await self.endpoint(await get_call(request))
        except HTTPException as error:
            method, path = scope["method"], scope["path"]
            raise from_http_exception(error, method=method, path=path) from error
        await response(scope, receive, send)


class DirectRoutes:
    """Answers requests for a `DirectRoute` or a `RequestRoute` in front of the framework."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope, whose route the Gate has found."""
        route = route_of(scope)
        if isinstance(route, RequestRoute):
            await route.answer(scope, receive, send)
            return
        if not isinstance(route, DirectRoute) or not _has_json_type(scope):
            await self._app(scope, receive, send)
            return
        buffered = BufferedRequest(receive)
        if not await route.answer(scope, buffered.receive, send):
            await self._app(scope, buffered.replay, send)


class BufferedRequest:
    """The messages of a request, kept until it is known who reads them."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: deque[Message] = deque()
        self._error: HTTPException | None = None

    async def receive(self) -> Message:
        """The next message. It is kept as it is."""
        try:
            message = await self._receive()
        except HTTPException as error:
            self._error = error
            raise
        self._messages.append(message)
        return message

    async def replay(self) -> Message:
        """The messages so far once more, then those that follow."""
        if self._messages:
            return self._messages.popleft()
        if self._error is not None:
            raise self._error
        return await self._receive()


def _has_json_type(scope: Scope) -> bool:
    """Whether one header, and no other, says that the body is JSON."""
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    return len(types) == 1 and types[0].partition(b";")[0].strip().lower() == JSON
