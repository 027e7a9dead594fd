"""What tests of the AI Server dialect share: golden requests of the typed clients."""

import asyncio
import json
from typing import Any

import httpx

BOUNDARY = "a1b2c3"


def form(
    *parts: tuple[str, bytes | str], quoted: bool = True, filename: str = "a.png"
) -> dict[str, Any]:
    """A multipart body as clients write it; bytes are files. C# quotes no names."""
    mark = '"' if quoted else ""
    body = bytearray()
    for name, value in parts:
        is_file = isinstance(value, bytes)
        head = f"form-data; name={mark}{name}{mark}"
        head += f"; filename={mark}{filename}{mark}" if is_file else ""
        body += f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\n".encode()
        body += b"Content-Type: application/octet-stream\r\n" if is_file else b""
        body += b"\r\n" + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    return {
        "content": bytes(body),
        "headers": {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
    }


def refused(
    answer: httpx.Response,
    status: int,
    code: str,
    message: str | None = None,
    field: str | None = None,
) -> dict[str, Any]:
    """The `responseStatus` of a request that failed."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    told: dict[str, Any] = answer.json()["responseStatus"]
    assert told["errorCode"] == code, told
    assert message is None or message in told["message"], told
    assert "stackTrace" not in told
    assert all(isinstance(value, str) for value in told.get("meta", {}).values())
    if field is not None:
        assert told["errors"][0]["fieldName"] == field, told
    return told


def results(answer: httpx.Response) -> list[dict[str, Any]]:
    """The results of a call that went well."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    body = answer.json()
    assert "null" not in json.dumps(body)
    assert body["duration"].startswith("PT")
    assert "responseStatus" not in body
    found: list[dict[str, Any]] = body["results"]
    return found


async def ended(client: httpx.AsyncClient, status_url: str) -> httpx.Response:
    """The status when the job is neither queued nor started, as clients poll for it."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(status_url)
            if answer.json().get("jobState") not in ("Queued", "Started"):
                return answer
            await asyncio.sleep(0.02)
