"""Files in requests and responses: multipart bodies, and images that come as base64 or by URL."""

import base64
import binascii
import secrets
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

from serve_app.blobs.fetch import fetch
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.media import Blob
from serve_app.core.settings import Limits
from serve_app.core.upstreams.exchange import UpstreamRequest
from serve_app.upstreams.openai_form.exchange import OpenAIExchange

EXTENSIONS = {
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/x-wav": "wav",
    "video/quicktime": "mov",
    "image/jpeg": "jpg",
}
File = tuple[str, bytes, str]
"""Its name, content and type."""


def named_file(stem: str, content: bytes, mime: str) -> File:
    """With a name by which servers know the format."""
    return f"{stem}.{EXTENSIONS.get(mime, mime.partition('/')[2])}", content, mime


def multipart(fields: Mapping[str, str | list[str] | File]) -> tuple[bytes, bytes]:
    """The body of a form, and its type. Names and file names are the server's own."""
    boundary = f"polyphony-{secrets.token_hex(16)}".encode()
    parts = []
    for name, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            file_name, content, mime = each if isinstance(each, tuple) else ("", each.encode(), "")
            head = f'Content-Disposition: form-data; name="{name}"'
            if file_name:
                head += f'; filename="{file_name}"\r\nContent-Type: {mime}'
            parts.append(b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head.encode(), content))
    body = b"".join((*parts, b"--%b--\r\n" % boundary))
    return body, b"multipart/form-data; boundary=" + boundary


async def stored_image(
    entry: Mapping[str, object], exchange: OpenAIExchange, blobs: FsspecBlobStore, limits: Limits
) -> Blob:
    """The image of an entry of a response. A URL of the provider's own host is read without its
    key; any other is read only where it is on the public internet.
    """
    encoded, url = entry.get("b64_json"), entry.get("url")
    if isinstance(url, str) and url.startswith("data:"):
        encoded = url.partition(",")[2]
    try:
        if isinstance(encoded, str) and encoded:
            return await blobs.write(_once(base64.b64decode(encoded, validate=True)))
        if not isinstance(url, str) or not url:
            raise exchange.unreadable("has no image")
        if urlsplit(url).netloc == urlsplit(exchange.target.provider.base_url).netloc:
            async with exchange.calls.open(UpstreamRequest("GET", url)) as response:
                return await blobs.write(response.chunks(), limit=limits.upload_bytes)
        return await fetch(url, blobs, limits=limits, param="url")
    except (InvalidRequest, PayloadTooLarge, ValueError, binascii.Error) as error:
        raise exchange.unreadable("has an image that cannot be read") from error


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
