"""`create_app`: the whole HTTP surface over the parts it is given. No Ray, no environment."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from serve_app import __version__
from serve_app.api.body_limit import BodyLimit
from serve_app.api.context import Context, Contexts
from serve_app.api.cors import Cors
from serve_app.api.description import serve_description_off_loop
from serve_app.api.dialect import Access, Dialect, Dialects, dialect_in
from serve_app.api.dialects import DIALECTS
from serve_app.api.direct_route import DirectRoutes
from serve_app.api.errors import error_response, from_http_exception, from_validation
from serve_app.api.gate import Gate
from serve_app.api.long_texts import LongTexts
from serve_app.api.middleware import HeadMiddleware, ProviderHops, RequestIds
from serve_app.api.observation import Observation
from serve_app.api.route_table import KnownRoutes, RouteTable
from serve_app.core.config import AppConfig
from serve_app.core.errors import AppError

JSON_BYTES = 16 * 1024 * 1024
"""What a JSON body may have besides one medium in base64."""


def create_app(context: Context, dialects: Sequence[Dialect] = DIALECTS) -> FastAPI:
    """The ASGI application; one call, one independent app."""
    app = FastAPI(
        title="Polyphony",
        version=__version__,
        description="A self-hosted multi-modal AI server.",
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    spoken = Dialects([dialect.configured(context.config) for dialect in dialects])
    intake = context.intake.knowing(spoken.file_name)
    app.state.contexts = Contexts(replace(context, intake=intake))
    app.state.started_at = time.monotonic()
    # Not `include_router`, which makes every route anew: they are the same for every app.
    app.router.routes += [route for dialect in dialects for route in dialect.routes]
    serve_description_off_loop(app)
    app.add_exception_handler(AppError, _render_app_error)
    app.add_exception_handler(RequestValidationError, _render_validation)
    app.add_exception_handler(HTTPException, _render_http)
    app.router.middleware_stack = KnownRoutes(app.router)
    app.add_middleware(DirectRoutes)
    app.add_middleware(ProviderHops)
    app.add_middleware(LongTexts, limit=JSON_BYTES)
    app.add_middleware(BodyLimit, limit=_body_bytes(context.config))
    app.add_middleware(
        Gate,
        access=context.access,
        routes=RouteTable(app.routes),
        scrapers=context.config.metrics.allow_from,
        dialects=spoken,
        opened=_opened(context.config),
    )
    if context.config.server.cors_origins:
        app.add_middleware(Cors, origins=context.config.server.cors_origins)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(
        Observation, observability=context.observability, meter=context.meter, dialects=spoken
    )
    app.add_middleware(RequestIds)
    return app


def _body_bytes(config: AppConfig) -> int:
    """Of JSON with a medium in base64."""
    return config.limits.base64_bytes * 4 // 3 + JSON_BYTES


def _opened(config: AppConfig) -> set[Access]:
    """What the operator has opened to everybody."""
    opened: set[Access] = {"download"} if config.server.files_access == "public" else set()
    return opened | {"artifact"} if config.artifacts.access == "public" else opened


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """The server ends when every request has: what is not recorded by then would be lost."""
    yield
    contexts: Contexts = app.state.contexts
    context = contexts.at(None)
    await context.direct_jobs.flush()
    await context.meter.flush()
    await asyncio.to_thread(context.observability.close)


async def _render_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return _rendered(request, error)


async def _render_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _rendered(request, from_validation(error))


async def _render_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    response = _rendered(request, from_http_exception(error, method=request.method, path=path))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(allowed_methods(request))
    return response


def _rendered(request: Request, error: AppError) -> Response:
    body = dialect_in(request.scope).render_error(error, request.url.path)
    return error_response(error, body, request.scope)


def allowed_methods(request: Request) -> list[str]:
    """The methods of every route on the request's path; Starlette names the first route's only."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    there = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    methods = {method for route in there for method in route.methods or ()}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)
