"""CORS: what pages of other origins may send and read."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ALLOWED_HEADERS = (
    "Authorization",
    "Content-Type",
    "X-Api-Key",
    "Coder-Session-Token",
    "X-Request-ID",
    "Prefer",
    "Last-Event-ID",
    "Idempotency-Key",
    # OpenAI's SDK sets it in pages too; Firefox asks for it, where others keep their own.
    "User-Agent",
    "Range",
    "If-Range",
    "If-Match",
    "If-None-Match",
)
EXPOSED_HEADERS = (
    "X-Request-ID",
    "X-Ignored-Fields",
    "X-Job-ID",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
    "x-should-retry",
    "Location",
    "Preference-Applied",
    "ETag",
    "Accept-Ranges",
    "Content-Range",
    "Content-Disposition",
)
SDK_PREFIXES = ("x-stainless-", "openai-")
"""The latter begins `OpenAI-Organization` and `OpenAI-Project`, sent where they are set."""
ASKED = "access-control-request-headers"


class Cors(CORSMiddleware):
    """Lets pages of these origins in. What the official SDKs tell of themselves in headers is
    allowed by its prefix, because every version has others.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=METHODS,
            allow_headers=ALLOWED_HEADERS,
            # A page of the internet that asks for a server on this machine or in this network.
            allow_private_network=True,
            expose_headers=EXPOSED_HEADERS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a page that asks what it may send."""
        requested = [name.strip() for name in request_headers.get(ASKED, "").lower().split(",")]
        of_sdk = [name for name in requested if name.startswith(SDK_PREFIXES)]
        if not of_sdk:
            return super().preflight_response(request_headers)
        headers = request_headers.mutablecopy()
        headers[ASKED] = ", ".join(name for name in requested if name not in of_sdk) or "accept"
        response = super().preflight_response(headers)
        allowed = response.headers["access-control-allow-headers"]
        response.headers["access-control-allow-headers"] = ", ".join([allowed, *of_sdk])
        return response
