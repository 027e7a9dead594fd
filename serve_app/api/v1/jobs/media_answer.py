"""Media on their way out: stored files by URL, or base64 under the key that names the form."""

import time
from typing import Any, Literal

from serve_app.api.context import Context
from serve_app.api.json_answer import StoredBase64
from serve_app.archive.entries import Entry
from serve_app.blobs.store import filename
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import Blob

Medium = Literal["image", "audio", "video"]
FIRST_BASE64: dict[Medium, str] = {"image": "b64_json", "audio": "b64_wav", "video": "b64_mp4"}


def output_key(response_format: str | None, medium: Medium, allowed: tuple[str, ...]) -> str:
    """`url` or the base64 key asked for; `base64` and `b64` mean the medium's first form.

    InvalidRequest for a form of another medium.
    """
    wanted = response_format or "url"
    if wanted in ("base64", "b64"):
        wanted = FIRST_BASE64[medium]
    if wanted not in ("url", *allowed):
        listed = ", ".join(("url", *allowed))
        raise InvalidRequest(
            f"response_format: {wanted[:50]!r} is not one of {listed}", param="response_format"
        )
    return wanted


def file_url(context: Context, name: str) -> str:
    """Absolute when the server knows its public address, else from its root."""
    return f"{context.config.server.public_url or ''}/v1/files/{name}"


def media_item(
    context: Context, blob: Blob, key: str, *, entry: Entry | None = None
) -> dict[str, Any]:
    """One item of an envelope, with exactly one of `url` and a base64 key. The URL is that of the
    archive's entry, so that deleting the entry ends it; without one, that of the bytes.
    """
    if key == "url":
        return {"url": file_url(context, entry.filename if entry else filename(blob))}
    return {key: StoredBase64(context.blobs, blob)}


def envelope(items: list[dict[str, Any]], warnings: tuple[str, ...] = ()) -> dict[str, Any]:
    """The answer of every route that produces media."""
    answer: dict[str, Any] = {"created": int(time.time()), "data": items}
    return answer | {"warnings": list(warnings)} if warnings else answer
