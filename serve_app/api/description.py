"""GET /openapi.json, off the event loop: FastAPI takes half a second to write it at first."""

import asyncio

from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from serve_app.api.json_answer import json_response

PATH = "/openapi.json"


def serve_description_off_loop(app: FastAPI) -> None:
    """Put it in the place of the framework's own route, which writes it on the event loop."""
    writing = asyncio.Lock()

    async def description(_: Request) -> Response:
        async with writing:
            return json_response(await asyncio.to_thread(app.openapi))

    own = Route(PATH, description, include_in_schema=False)
    routes = app.router.routes
    app.router.routes = [own if getattr(route, "path", "") == PATH else route for route in routes]
