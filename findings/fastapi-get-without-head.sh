#!/bin/bash
# FastAPI 0.136.3 (Starlette 1.10.0).
#
# One would guess: a route for GET answers HEAD too, as Starlette's own routes do, on which FastAPI is built, and as RFC 9110
# section 9.1 wants of every general-purpose server.
# Instead: `@app.get` answers HEAD with 405 and `Allow: GET`, while `/docs` and `/openapi.json` of the very same app, which are
# plain Starlette routes, answer it with 200. Adding "HEAD" to the methods of each route puts a second operation with the same
# id into the OpenAPI document, so that HEAD is better served by a middleware.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fastapi==0.136.3 starlette==1.10.0 httpx==0.28.1
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

app = FastAPI()


@app.get("/fastapi")
async def of_fastapi() -> dict[str, str]:
    return {}


async def of_starlette(_request: Request) -> JSONResponse:
    return JSONResponse({})


app.router.routes.append(Route("/starlette", of_starlette, methods=["GET"]))
SEEN = {"/fastapi": 405, "/starlette": 200, "/docs": 200, "/openapi.json": 200}


async def main() -> bool:
    as_seen = True
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path, status in SEEN.items():
            assert (await client.get(path)).status_code == 200
            answer = await client.head(path)
            print(f"HEAD {path:14} {answer.status_code}  Allow: {answer.headers.get('allow')}")
            as_seen &= answer.status_code == status
    return as_seen


sys.exit(0 if asyncio.run(main()) else "the behaviour has changed")
PYTHON
