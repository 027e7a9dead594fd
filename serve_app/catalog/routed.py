"""`RoutedModels`: names that no family has: routes of the configuration and models of providers."""

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from serve_app.catalog.entry import CatalogEntry
from serve_app.catalog.fall_backs import FallBacks
from serve_app.core.config import UPSTREAMS, AppConfig, Family, Model
from serve_app.core.errors import ModelNotFound
from serve_app.core.operation import OperationRunner
from serve_app.core.options.upstream import UpstreamOptions
from serve_app.core.tasks import UPSTREAM_TASKS, Task
from serve_app.core.upstreams.directory import NoUpstreams, UpstreamDirectory
from serve_app.core.upstreams.exchange import UpstreamListing
from serve_app.core.upstreams.model_routes import ModelRouter, UpstreamModel, upstream_model

SEES = ("image_to_text",)
MOST_KNOWN = 1000
"""Entries that are kept: callers may make up names."""
Draw = Callable[[], float]


class RoutedModels:
    """`configured` finds models of families; `runner` calls providers."""

    def __init__(
        self,
        config: AppConfig,
        configured: Callable[[str], CatalogEntry | None],
        *,
        runner: OperationRunner | None,
        directory: UpstreamDirectory | None,
        draw: Draw = random.random,
    ) -> None:
        self._configured = configured
        self._runner = runner
        self._directory = directory or NoUpstreams()
        self._draw = draw
        self._entries: dict[tuple[str, Task | None], CatalogEntry] = {}
        self._entries_of: tuple[object, object] = (None, None)
        self._routes = dict.fromkeys(route.name for route in config.routes)
        self._router = ModelRouter(
            config.routes, is_configured=lambda name: configured(name) is not None
        )

    def route(self, name: str, task: Task | None) -> CatalogEntry | None:
        """What a name stands for if it is that of a route: as the first of its models, but for the
        id. ModelNotFound where none of them is there.
        """
        if name not in self._routes:
            return None
        first = self._candidates(name, task)[0]
        return CatalogEntry(
            first.model.model_copy(update={"id": name, "aliases": ()}),
            first.family,
            FallBacks(lambda: self._candidates(name, task)),
            passes_on=first.passes_on,
        )

    def upstream(self, name: str, task: Task | None) -> CatalogEntry | None:
        """A model of a provider, for a task or for what it is listed for."""
        known = self._known_entries()
        if (entry := known.get((name, task))) is not None:
            return entry
        named = upstream_model(name)
        if named is None or named.provider not in self._directory.providers():
            return None
        entry = self._entry(named, self._directory.listed(name), task)
        if len(known) < MOST_KNOWN:
            known[name, task] = entry
        return entry

    def every(self) -> list[CatalogEntry]:
        """Routes of which a model is there, and what providers list, with what is told of it. A
        route may stand in the place of a configured model of its name.
        """
        routes = []
        for name in self._routes:
            if self._configured(name) is None:
                with suppress(ModelNotFound):
                    routes.append(self.route(name, None))
        found = [each for each in routes if each is not None]
        return found + [
            self._entry(named, listing, None)
            for name, listing in self._directory.every().items()
            if (named := upstream_model(name)) is not None
        ]

    def _candidates(self, name: str, task: Task | None) -> list[CatalogEntry]:
        found = self._router.candidates(
            name, providers=self._directory.providers(), draw=self._draw
        )
        return [self._candidate(each, task) for each in found]

    def _candidate(self, found: str | UpstreamModel, task: Task | None) -> CatalogEntry:
        if isinstance(found, UpstreamModel):
            return self._entry(found, self._directory.listed(found.id), task)
        entry = self._configured(found)
        assert entry is not None
        return entry

    def _known_entries(self) -> dict[tuple[str, Task | None], CatalogEntry]:
        """Those made since the directory last changed."""
        at = (self._directory.providers(), self._directory.every())
        if any(now is not before for now, before in zip(at, self._entries_of, strict=True)):
            self._entries, self._entries_of = {}, at
        return self._entries

    def _entry(
        self, named: UpstreamModel, listing: UpstreamListing | None, task: Task | None
    ) -> CatalogEntry:
        """For a request, what is listed of a model is no reason to refuse anything: providers list
        little, and refuse by themselves.
        """
        assert self._runner is not None
        kind = self._directory.providers()[named.provider]
        listed_for: Task = listing.task if listing is not None else "chat"
        chosen = task if task in UPSTREAM_TASKS else listed_for
        told = listing.capabilities if listing is not None and task is None else SEES
        # Not validated: an id of a provider's may have any characters, and its type is no engine.
        made: dict[str, Any] = {"capabilities": told if chosen == "chat" else ()}
        model = Model.model_construct(
            id=named.id,
            owned_by=named.provider,
            can_translate=chosen == "transcription",
            created=int(listing.created) if listing is not None and listing.created else 0,
            **made,
        )
        options: Any = UpstreamOptions(engine=kind, task=chosen)
        family = Family.model_construct(name=UPSTREAMS, options=options, models=(model,))
        return CatalogEntry(model, family, self._runner, passes_on=True)
