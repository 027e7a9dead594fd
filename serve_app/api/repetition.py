"""Calls that clients may repeat: what a repetition is known by, read from a request."""

import asyncio
import hashlib
from typing import Any, Protocol

from starlette.requests import Request

from serve_app.blobs.spooled_text import STAND_IN
from serve_app.core.errors import InvalidRequest
from serve_app.core.jobs import KEY_HEADER, Repeatable
from serve_app.core.operation import Operation
from serve_app.core.operations import blobs_of

LONGEST_KEY = 255
RETRIES_HEADER = "x-stainless-retry-count"
"""OpenAI's SDKs and their kin count in it how often they have made a call already; 0 at first."""


class NamedBody(Protocol):
    """A body that may give its job a name."""

    ref_id: str | None

    def model_dump_json(self) -> str:
        """As JSON, the same for the same request."""
        ...


async def repeatable_of(
    body: NamedBody, operation: Operation[Any], request: Request
) -> Repeatable | None:
    """What is known of a call that has a name or a key; None for any other. InvalidRequest for a
    key that is none.
    """
    key = idempotency_key(request)
    if key is None and body.ref_id is None:
        return None
    retries = request.headers.get(RETRIES_HEADER)
    return Repeatable(
        digest=await _digest(body, operation, request),
        key=key,
        is_again=retries is not None and retries.isdecimal() and retries.strip("0") != "",
        may_return=key is not None or retries is not None,
    )


def idempotency_key(request: Request) -> str | None:
    """The caller's key of the call."""
    key = request.headers.get(KEY_HEADER)
    if key is not None and not (
        0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()
    ):
        raise InvalidRequest(
            f"a key has 1 to {LONGEST_KEY} printable ASCII characters", param=KEY_HEADER
        )
    return key


async def _digest(body: NamedBody, operation: Operation[Any], request: Request) -> str:
    """SHA-256 of path, query and body, as it came: what the server adds by itself, as seeds, is not
    the same twice. Of a form, whose separators differ each time, it is that of its fields and the
    content of its files.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        files = [blob.sha256 for blob in blobs_of(operation)]
        content = "\n".join((body.model_dump_json(), *files)).encode()
    else:
        # Of a text that was put aside, what stands for its content; the rest is this process's own.
        content = (await request.body()).replace(STAND_IN.encode(), b"")
    path = "?".join(filter(None, (request.url.path, request.url.query)))
    return await asyncio.to_thread(_sha256, path.encode(), content)


def _sha256(path: bytes, content: bytes) -> str:
    digest = hashlib.sha256(path + b"\0")
    digest.update(content)
    return digest.hexdigest()
