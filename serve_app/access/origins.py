"""Whose web page sends a request, as browsers tell in `Origin` and `Sec-Fetch-Site`, which no page
can change. What is no browser sends neither.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from serve_app.access.callers import Caller

FOREIGN = frozenset({"cross-site", "same-site"})
"""Other ports of this machine are of the same site, and so are other names below one domain."""


class Origins:
    """The pages that may use the server: its own, at the address that the browser asked for or at
    `public_url`, and those of the `listed` origins, of which `*` is any.
    """

    def __init__(self, listed: Collection[str] = (), public_url: str | None = None) -> None:
        self._listed = frozenset(listed)
        self._public = _origin_of(public_url) if public_url else None

    def allow(self, headers: Headers, caller: Caller) -> bool:
        """Whether the request comes from one of these pages, or from no page at all."""
        origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
        if origins and all(self._is_listed(origin) for origin in origins):
            return True
        if not FOREIGN.isdisjoint(sites):
            return False
        if origins == ["null"]:
            # Of a page that tells nobody where it is; a sandboxed one is of no site.
            return sites == ["same-origin"]
        return all(self._is_own(origin, caller) for origin in origins)

    def _is_listed(self, origin: str) -> bool:
        return origin in self._listed or "*" in self._listed

    def _is_own(self, origin: str, caller: Caller) -> bool:
        return caller.is_origin(origin) or origin == self._public


def names_a_page(headers: Headers) -> bool:
    """Whether a request says which page sends it."""
    return "origin" in headers or "sec-fetch-site" in headers


def _origin_of(url: str) -> str:
    """As browsers write it: lower case, without the port that goes without saying."""
    parts = urlsplit(url.lower())
    default = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{parts.netloc.removesuffix(default)}"
