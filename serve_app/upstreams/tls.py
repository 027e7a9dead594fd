"""`TlsContexts`: whom connections to providers trust, and which versions of HTTP they offer."""

import asyncio
import ssl
from typing import NamedTuple


class OfferedVersions(NamedTuple):
    """TLS that offers HTTP/1.1 alone, or with `any` HTTP/2, too. Certificates are those of the
    system, or of the file that `SSL_CERT_FILE` names.
    """

    http1: ssl.SSLContext
    any: ssl.SSLContext


class TlsContexts:
    """Made with the first connection that needs them: it takes 30 ms to read every certificate."""

    def __init__(self) -> None:
        self._made: OfferedVersions | None = None

    async def get(self) -> OfferedVersions:
        """Both of them."""
        if self._made is None:
            self._made = await asyncio.to_thread(_contexts)
        return self._made


def _contexts() -> OfferedVersions:
    made = OfferedVersions(ssl.create_default_context(), ssl.create_default_context())
    made.http1.set_alpn_protocols(["http/1.1"])
    made.any.set_alpn_protocols(["h2", "http/1.1"])
    return made
