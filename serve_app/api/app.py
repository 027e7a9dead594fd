"""`create_app`: the whole HTTP surface over the parts it is given. No Ray, no environment."""

import time

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from serve_app import __version__
from serve_app.api.admin import router as admin
from serve_app.api.body_limit import BodyLimit
from serve_app.api.context import Context
from serve_app.api.cors import Cors
from serve_app.api.description import describe_apart
from serve_app.api.direct_route import DirectRoutes
from serve_app.api.errors import error_response, from_http_exception, from_validation
from serve_app.api.gate import Gate
from serve_app.api.long_texts import LongTexts
from serve_app.api.middleware import Heads, RequestIds
from serve_app.api.observation import Observation
from serve_app.api.route_table import KnownRoutes, RouteTable
from serve_app.api.v1 import router as v1
from serve_app.core.errors import AppError

JSON_BYTES = 16 * 1024 * 1024
"""What a JSON body may have besides one medium in base64."""


def create_app(context: Context) -> FastAPI:
    """The ASGI application; one call, one independent app."""
    app = FastAPI(
        title="Polyphony",
        version=__version__,
        description="A self-hosted multi-modal AI server.",
        redirect_slashes=False,
    )
    app.state.context = context
    app.state.begun_at = time.monotonic()
    # Not `include_router`, which makes every route anew: they are the same for every app.
    app.router.routes += [*v1.routes, *admin.routes]
    describe_apart(app)
    app.add_exception_handler(AppError, _render_app_error)
    app.add_exception_handler(RequestValidationError, _render_validation)
    app.add_exception_handler(HTTPException, _render_http)
    app.router.middleware_stack = KnownRoutes(app.router)
    app.add_middleware(DirectRoutes)
    app.add_middleware(LongTexts, limit=JSON_BYTES)
    base64_bytes = context.config.limits.base64_bytes
    app.add_middleware(BodyLimit, limit=base64_bytes * 4 // 3 + JSON_BYTES)
    files_are_open = context.config.server.files_access == "public"
    app.add_middleware(
        Gate,
        access=context.access,
        routes=RouteTable(app.routes),
        scrapers=context.config.metrics.allow_from,
        is_open=lambda method, path: files_are_open and is_download(method, path),
    )
    if context.config.server.cors_origins:
        app.add_middleware(Cors, origins=context.config.server.cors_origins)
    app.add_middleware(Heads)
    app.add_middleware(Observation, observability=context.observability)
    app.add_middleware(RequestIds)
    return app


def is_download(method: str, path: str) -> bool:
    """Whether a request reads one file by its name."""
    folder, _, name = path.rpartition("/")
    return method in ("GET", "HEAD") and folder == "/v1/files" and name != ""


async def _render_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return error_response(error, request.url.path)


async def _render_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return error_response(from_validation(error), request.url.path)


async def _render_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    response = error_response(from_http_exception(error, method=request.method, path=path), path)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(allowed_methods(request))
    return response


def allowed_methods(request: Request) -> list[str]:
    """The methods of every route on the request's path; Starlette names the first route's only."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    there = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    methods = {method for route in there for method in route.methods or ()}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)
