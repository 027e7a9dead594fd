"""`Context`: the parts of the server that routes are given."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated

from fastapi import Depends, Request

from serve_app.access.authentication import Access
from serve_app.access.budgets import Budgets
from serve_app.access.credential_settings import CredentialSettings
from serve_app.access.tokens import Principal
from serve_app.api.served_files import ServedFiles
from serve_app.archive.archive import Archive
from serve_app.blobs.intake import MediaIntake
from serve_app.blobs.store import FsspecBlobStore
from serve_app.blobs.uploads import Uploads
from serve_app.catalog.catalog import Catalog
from serve_app.core.config import AppConfig
from serve_app.core.jobs import Job, JobRunner
from serve_app.database.connection import Database
from serve_app.jobs.direct import DirectJobs
from serve_app.jobs.store import JobStore
from serve_app.metering.usage_meter import UsageMeter
from serve_app.observability.observability import Observability
from serve_app.upstreams.listed_models import ListedModels
from serve_app.upstreams.providers import Providers

REMEMBERED = 64
"""Names; whoever makes up more of them gains nothing."""


@dataclass(frozen=True)
class Context:
    """Everything a route may need besides its request."""

    config: AppConfig
    catalog: Catalog
    blobs: FsspecBlobStore
    intake: MediaIntake
    access: Access
    credential_settings: CredentialSettings
    database: Database
    archive: Archive
    uploads: Uploads
    jobs: JobRunner
    job_store: JobStore
    direct_jobs: DirectJobs
    observability: Observability
    meter: UsageMeter
    budgets: Budgets
    providers: Providers
    listed: ListedModels

    @property
    def files(self) -> ServedFiles:
        """The files of answers."""
        return ServedFiles(self.config.server.public_url or "", self.blobs)

    async def running_direct(self, owner: str | None) -> list[Job]:
        """The direct jobs of an owner that run, in whatever process; None is everybody's."""
        written = await self.job_store.running_direct(owner=owner)
        return self.direct_jobs.all(written, owner=owner)


class Contexts:
    """One context for every name that callers know the server by; nearly all use the same one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.at = lru_cache(REMEMBERED)(self._at)

    def _at(self, host: str | None) -> Context:
        return replace(self._context, intake=self._context.intake.at(host))


async def get_context(request: Request) -> Context:
    """The context that `create_app` was given, for a caller who knows the server by this host."""
    contexts: Contexts = request.app.state.contexts
    context = contexts.at(request.headers.get("host"))
    if context.listed.known.is_stale:
        # Models are looked up without waiting for anything.
        await context.listed.known.look()
    return context


async def get_principal(request: Request) -> Principal:
    """Who calls; set by the middleware before any route runs."""
    principal: Principal = request.scope["state"]["principal"]
    return principal


ContextDep = Annotated[Context, Depends(get_context)]
PrincipalDep = Annotated[Principal, Depends(get_principal)]
