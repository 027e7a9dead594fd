"""The ingress deployment: builds the ASGI app inside the replica from its constructor arguments."""

import os
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.datastructures import Headers
from starlette.types import ASGIApp

from serve_app.access.authentication import Access, access_over
from serve_app.access.forward import SECRET as FORWARD_SECRET
from serve_app.api.app import create_app
from serve_app.api.assembly import context_over
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import JOBS, UPSTREAMS, AppConfig
from serve_app.database.connection import Database
from serve_app.jobs.remote import RemoteDirectTable, RemoteJobs
from serve_app.launch.direct_ingress import (
    BoundedReadAhead,
    correct_request_ids,
    keep_peers,
    own_proxies,
)
from serve_app.observability.observability import Observability
from serve_app.observability.observed import Observed
from serve_app.observability.settings import from_environment
from serve_app.observability.sharing import SharedCounts
from serve_app.remote.catalog import Handles, live_catalog
from serve_app.remote.upstreams import RemoteUpstreams
from serve_app.runtime.garbage import collect_garbage_rarely
from serve_app.runtime.logs import log_no_calls, log_to_stderr
from serve_app.runtime.temporary_files import use_own_temporary_folder
from serve_app.upstreams.assembly import upstream_runner
from serve_app.upstreams.encryption_keys import key_ring
from serve_app.upstreams.known_providers import KnownProviders
from serve_app.upstreams.listed_models import ListedModels
from serve_app.upstreams.live import LiveProviders
from serve_app.upstreams.near_texts import NearTexts


@serve.ingress()
class Ingress:
    """HTTP in, operations out. Handles arrive live: Serve resolves what was bound."""

    def __init__(
        self,
        config: AppConfig,
        families: Handles,
        jobs: dict[str, DeploymentHandle[Any]],
    ) -> None:
        log_to_stderr()
        log_no_calls()
        collect_garbage_rarely()
        use_own_temporary_folder()
        correct_request_ids()
        keep_peers(os.environ)
        database = Database(config.storage.database_location)
        access = access_over(
            database,
            config,
            own_proxies=own_proxies(os.environ),
            forward_secret=os.environ.get(FORWARD_SECRET),
        )
        blobs = FsspecBlobStore(config.storage.blobs_location)
        ring = key_ring(os.environ, config.storage.data_dir)
        upstreams = NearTexts(
            upstream_runner(config, LiveProviders(database, ring), blobs),
            RemoteUpstreams(families[UPSTREAMS]),
        )
        listed = ListedModels(
            KnownProviders(database), upstreams, age_s=config.upstreams.listing_age_s
        )
        self._context = context_over(
            config,
            listed=listed,
            catalog=live_catalog(config, families, listed, upstreams=upstreams),
            database=database,
            blobs=blobs,
            access=access,
            observability=_observability(config, database, access),
            ring=ring,
            runner=lambda store: RemoteJobs(config, store, jobs),
            direct=lambda table: RemoteDirectTable(jobs[JOBS], table),
        )

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Called by Serve once per replica, after the constructor."""
        return BoundedReadAhead(create_app(self._context))


def _observability(config: AppConfig, database: Database, access: Access) -> Observability:
    """Counts are shared where there can be several replicas."""

    def client(request: Observed) -> str:
        headers = Headers(raw=list(request.headers))
        return access.caller(headers, request.client, scheme=request.scheme).address

    observability = Observability(
        from_environment(os.environ, config.storage.data_dir),
        find_client=client,
        shared=SharedCounts(database) if config.ingress.max_replicas > 1 else None,
    )
    observability.start()
    return observability
