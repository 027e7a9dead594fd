"""The composition root: the Serve application from its configuration.

What a replica loads and composes is in `engines` and `composition`, the only importers of engines
and pipelines, each inside the branch that needs it.
"""

import os
import sys
from functools import partial
from typing import Any, cast

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig

from serve_app.access.bootstrap import announcement, prepare_access
from serve_app.access.forward import SECRET as FORWARD_SECRET
from serve_app.access.forward import check_forward_auth
from serve_app.api.callback_rendering import callback_rendering
from serve_app.api.dialects import DIALECTS
from serve_app.catalog.registration import with_registration_times
from serve_app.composition import PIPELINES
from serve_app.core.config import INGRESS, JOBS, UPSTREAMS, AppConfig, Family
from serve_app.core.options.text import VllmOptions
from serve_app.core.settings import Placement, Storage
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.family.memory.loader import family_loader
from serve_app.family.replica import Replica
from serve_app.ingress import Ingress
from serve_app.jobs.replica import JobsReplica, MainJobsReplica
from serve_app.launch.storage_check import check_storage
from serve_app.metering.usage_meter import forget_batches
from serve_app.observability.settings import from_environment
from serve_app.observability.sharing import forget_counts
from serve_app.upstreams.encryption_keys import key_ring
from serve_app.upstreams.replica import UpstreamsReplica
from serve_app.upstreams.rotation import seal_anew
from serve_app.upstreams.sealing import KeyRing


def build(args: AppConfig) -> serve.Application:
    """One deployment per family and pipeline, and the ingress over them."""
    nodes = _nodes()
    check_storage(args.storage, nodes=nodes)
    # Other nodes would not find its file.
    ring = key_ring(os.environ, args.storage.data_dir, makes_file=nodes == 1)
    # Refused here, where somebody reads it; the ingress reads the same environment.
    from_environment(os.environ, args.storage.data_dir)
    check_forward_auth(args.auth.forward, os.environ.get(FORWARD_SECRET))
    _check_dialects(args)
    config = with_registration_times(args)
    _prepare_database(config.storage, ring)
    families = {family.name: _family(config, family) for family in config.families}
    upstreams = _deployment(
        UpstreamsReplica, UPSTREAMS, config.upstreams.placement, config.limits.max_pending
    )
    families[UPSTREAMS] = upstreams.bind(config)
    pipelines = {
        pipeline.name: _deployment(JobsReplica, pipeline.name, pipeline.placement, -1).bind(
            config, pipeline.name, families, make=PIPELINES
        )
        for pipeline in config.pipelines
    }
    jobs = _deployment(MainJobsReplica, JOBS, config.jobs.placement, -1).bind(
        config, JOBS, families, pipelines=pipelines, render=callback_rendering
    )
    ingress = _deployment(Ingress, INGRESS, config.ingress, -1)
    return ingress.bind(config, families, {JOBS: jobs, **pipelines})


def _check_dialects(config: AppConfig) -> None:
    known = [dialect.name for dialect in DIALECTS]
    for name in config.jobs.sync_timeout_s:
        if name not in known:
            raise ValueError(
                f"jobs.sync_timeout_s: unknown dialect {name!r}; dialects: {', '.join(known)}"
            )


def _nodes() -> int:
    """How many machines the cluster has now; one that joins later is not seen."""
    if not ray.is_initialized():
        return 1
    return sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]


def _prepare_database(storage: Storage, ring: KeyRing) -> None:
    database = Database(storage.database_location)
    try:
        migrate(database)
        database.write_now(forget_counts)
        database.write_now(forget_batches)
        seal_anew(database, ring)
        made = prepare_access(database, os.environ)
    finally:
        database.close()
    if made is not None:
        # Not through a log handler, which might drop it or keep it.
        sys.stderr.write(announcement(made))


def _family(config: AppConfig, family: Family) -> serve.Application:
    deployment = _deployment(Replica, family.name, family.placement, config.limits.max_pending)
    deployment = deployment.options(**resources(family))
    make_loader = partial(family_loader, storage=config.storage)
    return deployment.bind(family, make_loader, load_wait_s=config.limits.load_wait_s)


def resources(family: Family) -> dict[str, Any]:
    """What a replica takes of the cluster. vLLM runs its workers in actors of their own, so its
    GPUs are bundles of a placement group, one per worker, and the replica itself holds none.
    """
    placement, options = family.placement, family.options
    if not isinstance(options, VllmOptions):
        return {"ray_actor_options": {"num_cpus": placement.cpus, "num_gpus": placement.gpus}}
    workers = options.tensor_parallel * options.pipeline_parallel
    first = {"CPU": max(placement.cpus, 1.0), "GPU": placement.gpus}
    return {
        "ray_actor_options": {"num_cpus": max(placement.cpus, 1.0), "num_gpus": 0},
        "placement_group_bundles": [first, *[{"GPU": placement.gpus}] * (workers - 1)],
        "placement_group_strategy": "PACK",
    }


def _deployment(target: type, name: str, placement: Placement, max_queued: int) -> serve.Deployment:
    deployment = cast("serve.Deployment", serve.deployment(target))
    return deployment.options(
        name=name,
        max_ongoing_requests=placement.max_ongoing_requests,
        max_queued_requests=max_queued,
        ray_actor_options={"num_cpus": placement.cpus, "num_gpus": placement.gpus},
        **_scaling(placement),
    )


def _scaling(placement: Placement) -> dict[str, Any]:
    """A fixed number of replicas, or a range that follows the requests under way."""
    if placement.min_replicas == placement.max_replicas:
        return {"num_replicas": placement.min_replicas}
    scaling = AutoscalingConfig(
        min_replicas=placement.min_replicas,
        max_replicas=placement.max_replicas,
        target_ongoing_requests=max(1.0, 0.7 * placement.max_ongoing_requests),
        upscale_delay_s=0,
        downscale_delay_s=placement.idle_unload_s,
        look_back_period_s=12,
    )
    return {"autoscaling_config": scaling}
