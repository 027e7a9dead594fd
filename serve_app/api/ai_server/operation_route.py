"""`OperationRoute`: `/api/{Name}` and `/json/reply/{Name}`, by name in any case, with `[]` for many
calls at once.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import BaseRoute

from serve_app.api.ai_server.arguments import Arguments, read_all_arguments, read_arguments
from serve_app.api.ai_server.calls import MANY, service_response
from serve_app.api.ai_server.service_error import ERRORS, ServiceError
from serve_app.api.body_schema import body_schema
from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.runs import Call, call_in

POST, GET = ("POST",), ("GET",)
ANY_VERB = ("GET", "POST", "PUT", "PATCH", "DELETE")
FORM_TYPES = (
    "application/json",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
)
Done = tuple[Any, str | None]
"""The body of an answer, and the id of the job that it is of."""
Perform = Callable[[Call, Arguments], Awaitable[Done | Response]]


class OperationRoute(APIRoute):
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

    async def endpoint(request: Request, context: ContextDep, principal: PrincipalDep) -> Response:
        call = call_in(request, context, principal)
        if not request.url.path.endswith(MANY):
            done = await perform(call, await read_arguments(request, context))
            return done if isinstance(done, Response) else service_response(*done)
        answers = [await perform(call, each) for each in await read_all_arguments(request)]
        files = [answer for answer in answers if isinstance(answer, Response)]
        if files:
            raise ServiceError(f"{name} answers one request at a time")
        return service_response([done[0] for done in answers if not isinstance(done, Response)])

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
