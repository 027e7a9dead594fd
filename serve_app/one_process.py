"""Everything in one process, without Ray: for tests and for measuring what the hop costs.

Jobs are kept in the table but not resumed, because their steps are not recorded.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from serve_app.access.authentication import Access
from serve_app.api.assembly import context_over
from serve_app.api.context import Context
from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.catalog import Catalog, Statuses
from serve_app.catalog.engine_runner import runner_of
from serve_app.core.config import JOBS, UPSTREAMS, AppConfig
from serve_app.core.operation import OperationRunner
from serve_app.core.pipelines import MakePipeline
from serve_app.core.status import ModelStatus
from serve_app.database.connection import Database
from serve_app.jobs.assembly import OperationExecutor, job_executor
from serve_app.jobs.executor import JobExecutor
from serve_app.jobs.leases import Leases
from serve_app.jobs.plain_steps import PlainSteps
from serve_app.jobs.store import JobStore
from serve_app.observability.observability import Observability
from serve_app.observability.settings import from_environment
from serve_app.upstreams.assembly import upstream_runner
from serve_app.upstreams.known_providers import KnownProviders
from serve_app.upstreams.listed_models import ListedModels
from serve_app.upstreams.live import LiveProviders
from serve_app.upstreams.sealing import KEY_BYTES, KeyRing


def one_process(
    config: AppConfig,
    engines: Mapping[str, Any],
    *,
    database: Database,
    blobs: FsspecBlobStore,
    access: Access,
    statuses: Mapping[str, ModelStatus] | None = None,
    pipelines: Iterable[MakePipeline] = (),
    observability: Observability | None = None,
    ring: KeyRing | None = None,
    ticks: Callable[[], float] = time.monotonic,
) -> Context:
    """The context of an app whose families are these objects. By default requests are counted,
    nothing is logged, and secrets are sealed with a key of its own. `ticks` says how old is what
    it knows of providers.
    """
    ring = ring or KeyRing([secrets.token_bytes(KEY_BYTES)])
    upstreams = upstream_runner(config, LiveProviders(database, ring, ticks=ticks), blobs)
    age_s = config.upstreams.listing_age_s
    listed = ListedModels(KnownProviders(database, ticks=ticks), upstreams, age_s=age_s)
    runners = _runners(engines) | {UPSTREAMS: upstreams}
    catalog = Catalog(config, runners, statuses=_always(statuses or {}), directory=listed)
    perform = OperationExecutor(config, catalog, blobs, pipelines)
    return context_over(
        config,
        listed=listed,
        catalog=catalog,
        database=database,
        blobs=blobs,
        access=access,
        observability=observability or _counting(config),
        ring=ring,
        runner=lambda store: _executor(config, store, database, blobs, perform),
    )


def _executor(
    config: AppConfig,
    store: JobStore,
    database: Database,
    blobs: FsspecBlobStore,
    perform: OperationExecutor,
) -> JobExecutor:
    executor = job_executor(
        config,
        (JOBS, *(pipeline.name for pipeline in config.pipelines)),
        store=store,
        leases=Leases(database, "one-process"),
        database=database,
        blobs=blobs,
        perform=perform,
    )
    executor.use(PlainSteps(executor.perform))
    return executor


def _runners(engines: Mapping[str, Any]) -> dict[str, OperationRunner]:
    return {name: runner_of(engine) for name, engine in engines.items()}


def _counting(config: AppConfig) -> Observability:
    return Observability(from_environment({"OBS_ACCESS_LOG": "0"}, config.storage.data_dir))


def _always(statuses: Mapping[str, ModelStatus]) -> Statuses:
    async def current() -> Mapping[str, ModelStatus]:
        return statuses

    return current
