"""`OperationRoute`: `/api/{Name}` and `/json/reply/{Name}`, by name in any case, with `[]` for many
calls at once.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from fastapi.responses import Response
from pydantic import BaseModel
from starlette.routing import BaseRoute

from serve_app.api.ai_server.arguments import Arguments, read_all_arguments, read_arguments
from serve_app.api.ai_server.calls import MANY, service_response
from serve_app.api.ai_server.service_error import (
    ERRORS,
    ServiceError,
    error_object,
    status_object,
)
from serve_app.api.body_schema import body_schema
from serve_app.api.call import Call, CallDep
from serve_app.api.direct_route import RequestRoute
from serve_app.api.errors import error_response
from serve_app.core.errors import AppError

POST, GET = ("POST",), ("GET",)
COMPLETED = "X-AutoBatch-Completed"
"""How many requests of an array have been answered."""
PLACE = "AutoBatchIndex"
"""In `meta`: which request of an array, from 0, has failed."""
ANY_VERB = ("GET", "POST", "PUT", "PATCH", "DELETE")
FORM_TYPES = (
    "application/json",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
)
Done = tuple[Any, str | None]
"""The body of an answer, and the id of the job that it is of."""
Perform = Callable[[Call, Arguments], Awaitable[Done | Response]]


class OperationRoute(RequestRoute):
    """A route whose pattern is that of the name; the paths that it takes are more."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        name = re.escape(path.rpartition("/")[2])
        self.path_regex = re.compile(rf"^/(?:api|json/reply)/{name}(?:\[\])?$", re.IGNORECASE)
        self.param_convertors = {}


def operation_routes(
    name: str,
    perform: Perform,
    *,
    does: str,
    tag: str,
    verbs: Iterable[str] = ANY_VERB,
    body: type[BaseModel] | None = None,
    files: Sequence[str] = (),
) -> list[BaseRoute]:
    """The routes of an operation. It is described once, by the verb that clients use."""
    described, *others = sorted(verbs, key=lambda verb: verb != ("POST" if body else "GET"))

    async def endpoint(call: CallDep) -> Response:
        if call.request.url.path.endswith(MANY):
            return await answered_in_turn(name, perform, call)
        done = await perform(call, await read_arguments(call.request, call.context))
        return done if isinstance(done, Response) else service_response(*done)

    endpoint.__name__ = name
    endpoint.__doc__ = does
    route = OperationRoute(
        f"/api/{name}",
        endpoint,
        methods=[described],
        tags=[tag],
        openapi_extra=None if body is None else described_body(body, files),
        response_class=Response,
        responses=ERRORS,
    )
    if not others:
        return [route]
    rest = OperationRoute(f"/api/{name}", endpoint, methods=others, include_in_schema=False)
    return [route, rest]


async def answered_in_turn(name: str, perform: Perform, call: Call) -> Response:
    """The answers to an array of requests, one after the other, as ServiceStack does: the first
    that fails answers for all, and says which it is.
    """
    answers: list[Any] = []
    for arguments in await read_all_arguments(call.request):
        try:
            done = await perform(call, arguments)
            if isinstance(done, Response):
                raise ServiceError(f"{name} answers one request at a time")
        except AppError as error:
            return _failed_in_turn(error, call, completed=len(answers))
        answers.append(done[0])
    return _with_completed(service_response(answers), len(answers))


def _failed_in_turn(error: AppError, call: Call, *, completed: int) -> Response:
    status = status_object(error)
    status["meta"] = status.get("meta", {}) | {PLACE: str(completed)}
    body = error_object(error, call.request.url.path) | {"responseStatus": status}
    return _with_completed(error_response(error, body, call.request.scope), completed)


def _with_completed(response: Response, completed: int) -> Response:
    response.headers[COMPLETED] = str(completed)
    return response


def described_body(kind: type[BaseModel], files: Sequence[str]) -> dict[str, Any]:
    """The description of a body that comes in three types, by the names that clients use."""
    schema = body_schema(kind)
    fields = {camel(name): about for name, about in schema["properties"].items()}
    media = {name: {"type": "string", "format": "binary"} for name in files}
    schema |= {"properties": fields | media}
    if "required" in schema:
        schema["required"] = [camel(name) for name in schema["required"]]
    content = {form: {"schema": schema} for form in FORM_TYPES}
    return {"requestBody": {"required": False, "content": content}}


def camel(name: str) -> str:
    """`positivePrompt` of `positive_prompt`."""
    first, *others = name.split("_")
    return first + "".join(part.title() for part in others)
