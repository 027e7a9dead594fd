"""`AppConfig`: the `args` of the Serve application, the one place where the server is configured.

Secrets are not here; they come from the environment (`API_TOKENS`, `ADMIN_TOKEN`).
"""

from collections.abc import Collection
from typing import Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from serve_app.core.model_sources import Sourced
from serve_app.core.operations import pipeline_operations
from serve_app.core.options.engine import Section
from serve_app.core.options.every_engine import AnyEngineOptions
from serve_app.core.prices import UsageSettings
from serve_app.core.settings import (
    ArchiveDefaults,
    Artifacts,
    Auth,
    Jobs,
    Limits,
    Metrics,
    Placement,
    Sdapi,
    Server,
    Storage,
    UpstreamSettings,
)
from serve_app.core.tasks import MODEL_TASKS, TASKS, Capability, Task
from serve_app.core.upstreams.model_routes import ModelRoute, upstream_model
from serve_app.core.video.generation import VideoFacts

INGRESS = "ingress"
JOBS = "jobs"
UPSTREAMS = "upstreams"
"""The names of the server's own deployments, which no family may have."""


class Model(Sourced):
    """One model of a family. Engines whose model is built in need no `source`. `capabilities` adds
    fine names to those of the family's task. `languages` are lower-case codes, for transcription,
    speech and, of what it translates to, translation. `supports_streaming` is false for
    transcription models whose segments come all at the end. `created` is a unix second; by default
    the second in which this server first saw the model. `memory_mb` is what it takes once loaded,
    where 1.2 times the size of its weights is a bad guess. `video` is what a video model can make,
    for those who list the models before it is loaded; from then on it is what the model itself
    says.
    """

    id: str = Field(min_length=1, max_length=200, pattern=r"^[^\s?#%]+$")
    aliases: tuple[str, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    languages: tuple[str, ...] = ()
    can_translate: bool = False
    supports_streaming: bool = True
    owned_by: str = "polyphony"
    created: int | None = Field(default=None, ge=0)
    memory_mb: float | None = Field(default=None, gt=0)
    video: VideoFacts | None = None


class Family(Section):
    """One Serve deployment: an engine, its placement and the models it can hold."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    options: AnyEngineOptions
    models: tuple[Model, ...] = ()
    placement: Placement = Placement()

    @model_validator(mode="after")
    def _has_models(self) -> Self:
        if TASKS[self.options.task].has_models != bool(self.models):
            rule = "takes no models" if self.models else "needs at least one model"
            raise ValueError(f"family {self.name!r} ({self.options.task}) {rule}")
        if self.options.task != "video" and any(model.video for model in self.models):
            raise ValueError(f"family {self.name!r} ({self.options.task}) does not generate videos")
        return self


class PipelineConfig(Section):
    """One Serve deployment that composes the default models and a media family."""

    name: str
    media: str = "media"
    placement: Placement = Placement()

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        known = sorted(kind.pipeline for kind in pipeline_operations())
        if name not in known:
            raise ValueError(f"unknown pipeline {name!r}; pipelines: {', '.join(known)}")
        return name


class Defaults(Section):
    """The default model (id or alias) of each task; without one, the first that fits is used."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | None]

    @classmethod
    def known_keys(cls) -> Collection[str]:
        """The tasks whose families have models."""
        return MODEL_TASKS

    def of(self, task: Task) -> str | None:
        """That of a task."""
        return self.__pydantic_extra__.get(task)


class AppConfig(Section):
    """The whole server."""

    server: Server = Server()
    auth: Auth = Auth()
    limits: Limits = Limits()
    storage: Storage = Storage()
    jobs: Jobs = Jobs()
    archive: ArchiveDefaults = ArchiveDefaults()
    artifacts: Artifacts = Artifacts()
    metrics: Metrics = Metrics()
    sdapi: Sdapi = Sdapi()
    usage: UsageSettings = UsageSettings()
    defaults: Defaults = Defaults()
    ingress: Placement = Placement(max_ongoing_requests=1000)
    upstreams: UpstreamSettings = UpstreamSettings()
    families: tuple[Family, ...] = ()
    pipelines: tuple[PipelineConfig, ...] = ()
    routes: tuple[ModelRoute, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        seen: dict[str, str] = {}
        for f, family in enumerate(self.families):
            for m, model in enumerate(family.models):
                for name in (model.id, *model.aliases):
                    here = f"families.{f}.models.{m}"
                    if name in seen:
                        raise ValueError(
                            f"{here}: model id or alias {name!r} is taken by {seen[name]}"
                        )
                    seen[name] = here
        return self

    @model_validator(mode="after")
    def _deployment_names_are_unique(self) -> Self:
        taken = {INGRESS: "the ingress", JOBS: "the jobs", UPSTREAMS: "the upstreams"}
        taken |= {pipeline.name: "a pipeline" for pipeline in self.pipelines}
        for f, family in enumerate(self.families):
            if family.name in taken:
                raise ValueError(
                    f"families.{f}.name: {family.name!r} is taken by {taken[family.name]}"
                )
            taken[family.name] = f"families.{f}"
        names = [pipeline.name for pipeline in self.pipelines]
        if len(set(names)) < len(names):
            raise ValueError("pipelines: each pipeline can be listed once")
        return self

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        for task, name in self.defaults:
            served = self.names_for(task)
            if name is not None and name not in served and not self._is_elsewhere(name):
                allowed = ", ".join(map(repr, served)) or "none is configured"
                raise ValueError(
                    f"defaults.{task}: no such model {name!r}; {task} models: {allowed}"
                )
        media = [family.name for family in self.families if family.options.task == "media"]
        for p, pipeline in enumerate(self.pipelines):
            if pipeline.media not in media:
                allowed = ", ".join(map(repr, media)) or "none is configured"
                raise ValueError(
                    f"pipelines.{p}.media: no such family {pipeline.media!r}; "
                    f"media families: {allowed}"
                )
        return self

    @model_validator(mode="after")
    def _routes_lead_to_models(self) -> Self:
        tasks = {
            name: family.options.task
            for family in self.families
            for model in family.models
            for name in (model.id, *model.aliases)
        }
        routes = [route.name for route in self.routes]
        for r, route in enumerate(self.routes):
            if routes.index(route.name) != r:
                raise ValueError(f"routes.{r}.name: {route.name!r} is taken by another route")
            names = [*(each.model for each in route.models), *route.fallbacks]
            for name in names:
                if name not in tasks and (name == route.name or not self._is_elsewhere(name)):
                    raise ValueError(
                        f"routes.{r}: no such model {name!r}; it is neither a model or a route of "
                        "this configuration nor written as '<provider>/<model>'"
                    )
            kinds = dict.fromkeys(tasks[name] for name in names if name in tasks)
            if len(kinds) > 1:
                raise ValueError(f"routes.{r}: its models are for {' and '.join(kinds)}")
        return self

    def _is_elsewhere(self, name: str) -> bool:
        """Whether a route, or a model of a provider that there may be, has the name."""
        is_route = any(route.name == name for route in self.routes)
        return is_route or upstream_model(name) is not None

    @model_validator(mode="after")
    def _rates_are_counted_once(self) -> Self:
        if self.auth.required and not self.counts_rates and self.limits.rates is not None:
            raise ValueError(
                "limits.storage_url: a redis:// URL is needed while ingress.max_replicas is "
                f"{self.ingress.max_replicas}, because every ingress replica would count rates for "
                "itself; or set ingress.max_replicas to 1, or limits.rates to null for no limits"
            )
        return self

    @property
    def counts_rates(self) -> bool:
        """Whether a rate can be counted right: in one memory, or in a storage that all share."""
        is_shared = self.limits.storage_url is not None or self.ingress.max_replicas == 1
        return is_shared and self.limits.rates is not None

    def names_for(self, task: str) -> list[str]:
        """Every id and alias of the models that do `task`, in the order of the configuration."""
        return [
            name
            for family in self.families
            if family.options.task == task
            for model in family.models
            for name in (model.id, *model.aliases)
        ]
