"""A Context from its parts, the same in a replica and in a test."""

from collections.abc import Callable

from serve_app.access.authentication import Access
from serve_app.access.budgets import Budgets
from serve_app.access.credential_settings import CredentialSettings
from serve_app.api.context import Context
from serve_app.archive.archive import Archive
from serve_app.blobs.intake import MediaIntake
from serve_app.blobs.store import FsspecBlobStore
from serve_app.blobs.uploads import Uploads, uploads_of
from serve_app.catalog.catalog import Catalog
from serve_app.core.config import AppConfig
from serve_app.core.jobs import JobRunner
from serve_app.database.connection import Database
from serve_app.jobs.direct import DirectJobs
from serve_app.jobs.direct_table import DirectTable, DirectWriter
from serve_app.jobs.store import JobStore
from serve_app.metering.usage_meter import usage_meter
from serve_app.observability.observability import Observability
from serve_app.upstreams.listed_models import ListedModels
from serve_app.upstreams.providers import Providers
from serve_app.upstreams.sealing import KeyRing


def context_over(
    config: AppConfig,
    *,
    catalog: Catalog,
    database: Database,
    blobs: FsspecBlobStore,
    access: Access,
    observability: Observability,
    ring: KeyRing,
    listed: ListedModels,
    runner: Callable[[JobStore], JobRunner],
    direct: Callable[[DirectTable], DirectWriter] = lambda table: table,
) -> Context:
    """`runner` makes what runs the jobs of a table, `direct` what writes those run from here."""
    store = JobStore(database, blobs.url)
    meter = usage_meter(config, database)
    archive = Archive(database, blobs, config.archive)
    uploads = uploads_of(config, database, blobs.url)
    jobs = runner(store)
    return Context(
        config=config,
        catalog=catalog,
        blobs=blobs,
        intake=_intake(config, blobs, archive, uploads),
        access=access,
        credential_settings=CredentialSettings(database, is_alone=config.ingress.max_replicas == 1),
        database=database,
        archive=archive,
        uploads=uploads,
        jobs=jobs,
        job_store=store,
        direct_jobs=DirectJobs(jobs, direct(DirectTable(database))),
        observability=observability,
        meter=meter,
        budgets=Budgets(meter, currency=config.usage.currency),
        providers=Providers(database, ring, changed=listed.known.refresh),
        listed=listed,
    )


def _intake(
    config: AppConfig, blobs: FsspecBlobStore, archive: Archive, uploads: Uploads
) -> MediaIntake:
    return MediaIntake(
        blobs,
        config.limits,
        public_url=config.server.public_url,
        find_archived=archive.find_file,
        note_use=uploads.note_use,
    )
