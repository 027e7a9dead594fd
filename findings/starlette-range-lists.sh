#!/bin/bash
# Starlette 1.10.0 (FileResponse, and so StaticFiles).
#
# One would guess: `Range` is handled as RFC 9110 section 14 has it: a range unit that the server does not know is ignored
# ("MUST ignore", 14.2), and of a list the ranges that are there are sent, 416 being for a list of which none is (14.1.2).
# Instead: another unit is 400, and one range behind the end of the file makes the whole list 416. A client that asks for
# the beginning of a file and for an index at a place that only longer files have gets nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet starlette==1.10.0 httpx==0.28.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import asyncio
import sys
from pathlib import Path

import httpx
from starlette.responses import FileResponse

SEEN = {
    "bytes=0-3": 206,
    "bytes=0-3,8-9": 206,
    "bytes=0-3,99999-": 416,
    "bytes=99999-": 416,
    "items=0-3": 400,
}


async def main() -> bool:
    path = Path(sys.argv[1]) / "file"
    path.write_bytes(b"0123456789")
    transport = httpx.ASGITransport(FileResponse(path))
    as_seen = True
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for value, status in SEEN.items():
            answer = await client.get("/", headers={"Range": value})
            print(f"Range: {value:20} {answer.status_code}")
            as_seen &= answer.status_code == status
    return as_seen


sys.exit(0 if asyncio.run(main()) else "the behaviour has changed")
PYTHON
