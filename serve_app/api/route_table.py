"""Finds the route of a request before the request is admitted, so that access is decided by the
route and never by the text of the path, which a route may read differently.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from starlette.routing import BaseRoute, Match, Mount, Route, Router
from starlette.types import Receive, Scope, Send

REMEMBERED = 512
"""Requests whose route is kept in mind; a search goes over more than a hundred patterns."""
ROUTE = "polyphony.route"


class RouteTable:
    """The routes of an app, asked in the order of its router."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        self._remembered = lru_cache(REMEMBERED)(self._find)

    def pattern(self, scope: Scope) -> str:
        """Such as `/v1/jobs/{id}`; of a request that no route is there for, its path. The route
        itself is kept for `route_of`.
        """
        pattern, route = self._remembered(
            scope["method"], scope["path"], scope.get("root_path", "")
        )
        scope[ROUTE] = route
        return pattern

    def _find(self, method: str, path: str, root_path: str) -> tuple[str, Route | None]:
        scope = {"type": "http", "method": method, "path": path, "root_path": root_path}
        partial: str | None = None
        for route in self._routes:
            match, _ = route.matches(scope)
            if match is Match.NONE or not isinstance(route, Route | Mount):
                continue
            if match is Match.FULL:
                return route.path, route if isinstance(route, Route) else None
            # The path without the method: 405 where no later route has both.
            partial = partial or route.path
        return partial or path, None


class KnownRoutes:
    """Takes a request to the route that a RouteTable has found, and only the others to the search
    of the router.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        route = route_of(scope)
        if route is None:
            await self._router.app(scope, receive, send)
            return
        scope["router"] = self._router
        _, found = route.matches(scope)
        scope.update(found)
        scope["route"] = route
        await route.handle(scope, receive, send)


def route_of(scope: Scope) -> Route | None:
    """The route that the request reaches, None where that is not known or it is none of ours."""
    return cast("Route | None", scope.get(ROUTE))
