"""`HttpResponse`, and what it is over HTTP/1.1."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import aiohttp


class HttpResponse(Protocol):
    """A response over any version of HTTP. Header names are lower case."""

    status: int
    headers: Mapping[str, str]

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        ...

    def leave(self) -> None:
        """End it: a response that has not ended is cancelled at the server."""
        ...


class Http1Response:
    """Satisfies `HttpResponse`."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in response.headers.items()
        }
        self._response = response

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        return self._response.content.iter_any()

    def leave(self) -> None:
        """Close the connection, unless the body was read to its end."""
        # Of a body that has not been read to its end, nobody may get the rest.
        self._response.release() if self._response.content.at_eof() else self._response.close()
