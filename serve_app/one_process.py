"""Everything in one process, without Ray: for tests and for measuring what the hop costs.

Jobs are kept in the table but not resumed, because their steps are not recorded.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from serve_app.access.authentication import Access
from serve_app.api.context import Context
from serve_app.api.v1.router import answers_over
from serve_app.archive.archive import Archive
from serve_app.blobs.intake import MediaIntake
from serve_app.blobs.store import FsspecBlobStore
from serve_app.blobs.uploads import uploads_of
from serve_app.catalog.catalog import Catalog
from serve_app.catalog.engine_runs import runs_over
from serve_app.core.config import JOBS, AppConfig
from serve_app.core.pipelines import MakePipeline
from serve_app.core.status import ModelStatus
from serve_app.database.connection import Database
from serve_app.jobs.assembly import Performer, job_executor
from serve_app.jobs.direct import DirectJobs
from serve_app.jobs.leases import Leases
from serve_app.jobs.plain_steps import PlainSteps
from serve_app.jobs.store import JobStore
from serve_app.observability.observability import Observability
from serve_app.observability.settings import from_environment


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
) -> Context:
    """The context of an app whose families are these objects. By default requests are counted, and
    nothing is logged.
    """

    async def all_statuses() -> Mapping[str, ModelStatus]:
        return statuses or {}

    runs = {name: runs_over(engine) for name, engine in engines.items()}
    catalog = Catalog(config, runs, statuses=all_statuses)
    store = JobStore(database, blobs.url)
    archive = Archive(database, blobs, config.archive)
    uploads = uploads_of(config, database, blobs.url)
    executor = job_executor(
        config,
        (JOBS, *(pipeline.name for pipeline in config.pipelines)),
        store=store,
        leases=Leases(database, "one-process"),
        database=database,
        blobs=blobs,
        perform=Performer(config, catalog, blobs, pipelines),
    )
    executor.use(PlainSteps(executor.perform))
    return Context(
        config=config,
        catalog=catalog,
        blobs=blobs,
        intake=MediaIntake(
            blobs,
            config.limits,
            public_url=config.server.public_url,
            find_archived=archive.find_file,
            note_use=uploads.note_use,
        ),
        access=access,
        database=database,
        archive=archive,
        uploads=uploads,
        jobs=executor,
        job_store=store,
        direct_jobs=DirectJobs(executor),
        observability=observability
        or Observability(from_environment({"OBS_ACCESS_LOG": "0"}, config.storage.data_dir)),
        answers=answers_over(config, blobs),
    )
