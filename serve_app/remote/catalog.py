"""The catalog over live Serve handles."""

from collections.abc import Mapping
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app.catalog.catalog import Catalog
from serve_app.core.config import UPSTREAMS, AppConfig
from serve_app.core.operation import OperationRunner
from serve_app.core.upstreams.directory import AnyUpstreams, UpstreamDirectory
from serve_app.remote.family import Remote
from serve_app.remote.statuses import LiveStatuses
from serve_app.remote.upstreams import RemoteUpstreams

Handles = Mapping[str, DeploymentHandle[Any]]


def live_catalog(
    config: AppConfig,
    families: Handles,
    directory: UpstreamDirectory | None = None,
    *,
    upstreams: OperationRunner | None = None,
) -> Catalog:
    """A catalog whose models run their operations over the handles of their families; those of
    providers, which the directory knows, are run by `upstreams`, or else over the handle of that
    name.
    """
    runners = {
        family.name: Remote(
            family.name, families[family.name], has_several_models=len(family.models) > 1
        )
        for family in config.families
    }
    models = {family.name: {model.id for model in family.models} for family in config.families}
    statuses = LiveStatuses(models, runners, running_deployments)
    every = {**runners, UPSTREAMS: upstreams or RemoteUpstreams(families[UPSTREAMS])}
    return Catalog(config, every, statuses=statuses, directory=directory or AnyUpstreams())


def running_deployments() -> set[str]:
    """The names of this application's deployments that have a running replica. Blocks."""
    own = serve.get_replica_context().app_name
    status = serve.status().applications.get(own)
    deployments = status.deployments if status else {}
    return {
        name
        for name, deployment in deployments.items()
        if any(state == "RUNNING" and n for state, n in deployment.replica_states.items())
    }
