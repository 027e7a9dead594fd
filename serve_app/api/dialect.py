"""`Dialect`: all that the server knows of one HTTP API, in one value. `Dialects` finds the one that
a path belongs to, and what holds on the path.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from starlette.routing import BaseRoute
from starlette.types import Scope

from serve_app.access.rate_limits import RouteClass
from serve_app.core.errors import AppError
from serve_app.observability.classes import Category

Access = Literal["open", "download", "scrape", "inference", "own", "admin"]
"""Who is let in: everybody; everybody where files are public; whoever may scrape; the scope
`inference`; every signed-in user, but nobody without a credential; the scope `admin`.
"""
RenderError = Callable[[AppError, str], dict[str, Any]]
"""The JSON body of an error on a path."""
ANY = "*"
REST = "**"
REMEMBERED = 1024
"""Paths whose dialect and rule are kept in mind."""
DIALECT = "polyphony.dialect"


@dataclass(frozen=True)
class PathRule:
    """What holds on the requests of a method whose path fits: of its segments `*` is any one, and
    `**` at the end any number. Such a path may also be a route's own, as `/v1/jobs/{id}`. `GET`
    is HEAD, too; `*` is every method. `category` is what a request counts as that was refused
    before it became an operation. Of an open path the body is always small.
    """

    method: str
    pattern: str
    access: Access = "inference"
    rate_class: RouteClass = "default"
    category: Category | None = None
    is_counted: bool = True
    is_logged: bool = True
    is_page: bool = False
    is_small: bool = False

    def fits(self, method: str, path: str) -> bool:
        """Whether the rule holds on a request."""
        if self.method not in (ANY, "GET" if method == "HEAD" else method):
            return False
        wanted, given = self.pattern.split("/"), path.split("/")
        if wanted[-1] == REST:
            wanted.pop()
            given = given[: len(wanted)]
        return len(wanted) == len(given) and all(
            expected == found or (expected == ANY and found != "")
            for expected, found in zip(wanted, given, strict=True)
        )


@dataclass(frozen=True)
class Dialect:
    """One HTTP API. The paths below its `prefixes` are its own; of its `rules` the first that fits
    holds, and where none does, `PathRule`'s defaults. A synchronous call waits for its job for
    `sync_timeout_s`, unless `jobs.sync_timeout_s` says otherwise.
    """

    name: str
    prefixes: tuple[str, ...]
    routes: Sequence[BaseRoute]
    rules: tuple[PathRule, ...]
    render_error: RenderError
    sync_timeout_s: float = 600


class Dialects:
    """Those of an app. Paths that are nobody's belong to the first."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self.all = tuple(dialects)
        by_prefix = [(prefix, each) for each in self.all for prefix in each.prefixes]
        self._by_prefix = sorted(by_prefix, key=lambda pair: -len(pair[0]))
        self.of = lru_cache(REMEMBERED)(self._of)
        self.rule = lru_cache(REMEMBERED)(self._rule)

    def _of(self, path: str) -> Dialect:
        """The dialect with the longest prefix that the path is below."""
        fitting = (dialect for prefix, dialect in self._by_prefix if is_below(path, prefix))
        return next(fitting, self.all[0])

    def _rule(self, method: str, path: str) -> PathRule:
        """What holds on a request; `path` is its route's pattern where that is known."""
        rules = self._of(path).rules
        return next((rule for rule in rules if rule.fits(method, path)), PathRule(method, path))


def is_below(path: str, folder: str) -> bool:
    """Whether a path is this folder or in it."""
    return path == folder or path.startswith(f"{folder}/")


def dialect_in(scope: Scope) -> Dialect:
    """The dialect of a request that the gate has let in."""
    dialect: Dialect = scope[DIALECT]
    return dialect
