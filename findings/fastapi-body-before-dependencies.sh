#!/bin/bash
# FastAPI 0.136.3 (Starlette 1.10.0).
#
# One would guess: a dependency that refuses a request without a credential (`dependencies=[Depends(signed_in)]`, the way
# the documentation shows authentication) runs before the body is read, so that a stranger cannot make the server hold one.
# Instead: the whole body is read into memory and parsed first, because all parameters of a route are solved after it; the
# 401 comes when the last byte has come. It does so even where the body is of a type that the route does not take. What is
# to be refused early has to be refused outside of the route: in a middleware, or in a dependency of a route that has no
# body parameter and reads `request.stream()` itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fastapi==0.136.3 starlette==1.10.0
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel

MIB = 1024 * 1024
SENT = 32
LOGIN = b'{"name": "ada"}'


def signed_in() -> None:
    raise HTTPException(401)


class Login(BaseModel):
    name: str


app = FastAPI()


@app.post("/with-a-body", dependencies=[Depends(signed_in)])
async def with_a_body(body: Login) -> None: ...


@app.post("/without", dependencies=[Depends(signed_in)])
async def without() -> None: ...


async def taken(path: str, kind: bytes) -> tuple[int, int]:
    """The status, and how many MiB of the body were asked for."""
    pieces, status = 0, 0

    async def receive() -> dict:
        nonlocal pieces
        pieces += 1
        body = (LOGIN if pieces == 1 else b"").ljust(MIB)
        return {"type": "http.request", "body": body, "more_body": pieces < SENT}

    async def send(message: dict) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": path,
        "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": [(b"host", b"x"), (b"content-type", kind)],
    }
    await app(scope, receive, send)
    return status, pieces


async def main() -> list[tuple[int, int]]:
    return [
        await taken("/with-a-body", b"application/json"),
        await taken("/with-a-body", b"text/plain"),
        await taken("/without", b"application/json"),
    ]


seen = asyncio.run(main())
for name, (status, pieces) in zip(("JSON", "text/plain", "no body parameter"), seen):
    print(f"{name}: {status} after {pieces} MiB")
sys.exit(seen != [(401, 32), (401, 32), (401, 0)])
PYTHON
