"""Which route a request will reach, known before it is let in: what is decided of a request is
decided by its route and never by the text of its path, which a route may read differently.
"""

from collections.abc import Sequence
from functools import lru_cache

from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import Scope

REMEMBERED = 512
"""Requests whose route is kept in mind; a search goes over more than a hundred patterns."""


class RouteTable:
    """The routes of an app, asked in the order of its router."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        self._remembered = lru_cache(REMEMBERED)(self._pattern)

    def pattern(self, scope: Scope) -> str:
        """Such as `/v1/jobs/{id}`; of a request that no route is there for, its path."""
        return self._remembered(scope["method"], scope["path"], scope.get("root_path", ""))

    def _pattern(self, method: str, path: str, root_path: str) -> str:
        scope = {"type": "http", "method": method, "path": path, "root_path": root_path}
        partial: str | None = None
        for route in self._routes:
            match, _ = route.matches(scope)
            if match is Match.NONE or not isinstance(route, Route | Mount):
                continue
            if match is Match.FULL:
                return route.path
            # The path without the method: 405 where no later route has both.
            partial = partial or route.path
        return partial or path
