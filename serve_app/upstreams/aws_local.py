"""Services of a machine or container that hand out credentials of Amazon's, without a proxy and
without redirects. They are not called as providers are: those must not reach them.
"""

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from serve_app.core.errors import UpstreamError

CONNECT_S, TOTAL_S = 1.0, 5.0
MOST_BYTES = 64 * 1024


class LocalService:
    """At one URL. UpstreamError for what is no success."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    async def text(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> str:
        """What is there."""
        limit = aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
                session.request(
                    method, self._url + path, headers=headers, allow_redirects=False
                ) as response,
            ):
                body = await response.content.read(MOST_BYTES)
                if response.status != 200:
                    raise _failed(f"it responds with status {response.status}")
                return body.decode()
        except TimeoutError:
            raise _failed("it does not respond") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failed(type(error).__name__) from None

    async def object(self, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object that is there."""
        try:
            found = json.loads(await self.text(path, headers))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise _failed("its response cannot be read")
        return found


def _failed(why: str) -> UpstreamError:
    """Without anything that was sent or has come."""
    return UpstreamError(f"the service of this machine gives no credentials: {why}")
