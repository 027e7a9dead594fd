"""Corrections to Serve's direct ingress (Ray 2.60), for what it has no settings for."""

import asyncio
import ipaddress
from collections.abc import Mapping, MutableMapping

import ray.util
from ray.serve._private import http_util
from ray.serve._private.direct_ingress_http_util import ASGIDIReceiveProxy
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.access.callers import LOOPBACK, Network
from serve_app.api.middleware import accepted_request_id

READ_AHEAD_MESSAGES = 16


class DirectRequestIds:
    """Stands in for Serve's RequestIdMiddleware: an id that we accept is in every request, and
    nothing is added to the answer, where Serve would repeat the header that the app has set.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        headers = MutableHeaders(scope=scope)
        headers["x-request-id"] = accepted_request_id(headers.get("x-request-id"))
        await self._app(scope, receive, send)


class BoundedReadAhead:
    """Serve reads a request's body ahead of the app, to notice when the client leaves, and keeps
    it in memory; this gives its queue a bound, so that a large upload waits in the socket.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if isinstance(receive, ASGIDIReceiveProxy):
            bound(receive.queue)
            # Serve cancels the request when the client leaves. Told of ASGI 2.3 (uvicorn's),
            # Starlette would watch for that too, with a task group per stream.
            scope["asgi"] = {**scope["asgi"], "spec_version": "2.4"}
        await self._app(scope, receive, send)


def bound(queue: "asyncio.Queue[object]") -> None:
    """Limit a queue that exists already; `put` reads the limit anew each time."""
    queue._maxsize = READ_AHEAD_MESSAGES  # type: ignore[attr-defined]


def keep_peers(environment: MutableMapping[str, str]) -> None:
    """To be called in a replica before Serve starts its HTTP server there: uvicorn would take
    the address and the scheme of a request from headers that its client may have invented.
    """
    environment["FORWARDED_ALLOW_IPS"] = ""


def own_proxies(environment: Mapping[str, str]) -> tuple[Network, ...]:
    """Where the HAProxy of this node connects from, nowhere without it. HAProxies of other nodes
    are to be listed in `server.trusted_proxies`.
    """
    if environment.get("RAY_SERVE_ENABLE_HA_PROXY") != "1":
        return ()
    here = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return (*LOOPBACK, ipaddress.ip_network(here))


def correct_request_ids() -> None:
    """To be called in a replica before Serve starts its HTTP server there."""
    http_util.RequestIdMiddleware = DirectRequestIds  # type: ignore[misc, assignment]
