#!/bin/bash
# FastAPI 0.136.3 (Starlette 1.10.0).
#
# One would guess: a route with a JSON body reads JSON that comes without a `Content-Type`, as FastAPI did for years and as
# small clients of such servers send it. The documentation of body parameters names no type.
# Instead: such a body is taken for bytes and refused with 422 ("Input should be a valid dictionary"), unless the app or the
# router is made with `strict_content_type=False`. A route that is made by a router keeps the router's choice when it is put
# into an app by hand. Any other wrong type, such as `text/plain`, is refused either way.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fastapi==0.136.3 starlette==1.10.0 httpx==0.28.1
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys

import httpx
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel


class Body(BaseModel):
    prompt: str


async def answer(body: Body) -> None: ...


strict, lenient = APIRouter(), APIRouter(strict_content_type=False)
strict.post("/strict")(answer)
lenient.post("/lenient")(answer)
app = FastAPI()
app.router.routes += [*strict.routes, *lenient.routes]


async def main() -> dict[str, int]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        found = {}
        for path in ("/strict", "/lenient"):
            for kind in (None, "application/json", "text/plain"):
                headers = {"Content-Type": kind} if kind else {}
                sent = await client.post(path, content=b'{"prompt": "a boat"}', headers=headers)
                found[f"{path} {kind}"] = sent.status_code
        return found


seen = asyncio.run(main())
for name, status in seen.items():
    print(f"{name}: {status}")
sys.exit([*seen.values()] != [422, 200, 422, 200, 200, 422])
PYTHON
