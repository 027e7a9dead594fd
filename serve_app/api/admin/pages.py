"""/admin and the pages below it: plain tables of what the JSON routes tell."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from serve_app.access.token_store import all_tokens
from serve_app.access.users import all_users
from serve_app.api.admin.html import page, table
from serve_app.api.admin.tasks import NEWEST, task_object
from serve_app.api.admin.times import optional_rfc3339
from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.archive.entries import ArchiveQuery
from serve_app.jobs.reader import JobQuery
from serve_app.observability.summary import summary

router = APIRouter(tags=["admin"])
LINKS = """<ul>
<li><a href="/admin/tokens">Tokens</a></li>
<li><a href="/admin/tasks">Jobs</a></li>
<li><a href="/admin/models">Models</a></li>
<li><a href="/admin/archive">Archive</a></li>
<li><a href="/admin/metrics">Requests</a></li>
<li><a href="/admin/change-password">Change password</a></li>
<li><a href="/docs">API</a></li>
<li><a href="/logout">Sign out</a></li>
</ul>
"""


@router.get("/admin", response_class=HTMLResponse)
async def home(context: ContextDep, principal: PrincipalDep) -> HTMLResponse:
    """The start page of the administration."""
    users = await context.database.read(all_users)
    rows = [
        (user.id, user.username, user.role, optional_rfc3339(user.created_at)) for user in users
    ]
    body = f"{LINKS}<h2>Users</h2>\n{table(('id', 'name', 'role', 'created'), rows)}"
    return page(f"Administration of {principal.owner}", body)


@router.get("/admin/tokens", response_class=HTMLResponse)
async def tokens_page(context: ContextDep) -> HTMLResponse:
    """Every token, masked."""
    titles = ("id", "name", "token", "scopes", "owner", "source", "last used", "expires")
    rows = [
        (
            token.id,
            token.name,
            token.masked,
            " ".join(token.scopes),
            token.owner,
            token.source,
            optional_rfc3339(token.last_used),
            optional_rfc3339(token.expires_at),
        )
        for token in await context.database.read(all_tokens)
    ]
    return page("Tokens", table(titles, rows))


@router.get("/admin/tasks", response_class=HTMLResponse)
async def tasks_page(context: ContextDep) -> HTMLResponse:
    """The newest jobs of all owners."""
    jobs, total = await context.job_store.jobs(JobQuery(limit=NEWEST))
    keys = ("id", "kind", "title", "model", "status", "step", "total", "message", "started_at")
    rows = [[task_object(job)[key] for key in keys] for job in jobs]
    return page(f"Jobs ({total})", table(keys, rows))


@router.get("/admin/models", response_class=HTMLResponse)
async def models_page(context: ContextDep) -> HTMLResponse:
    """Every model, and whether it is loaded."""
    statuses = await context.catalog.statuses()
    rows = []
    for found in context.catalog.all():
        status = statuses.get(found.id)
        state = (status.state, status.memory_mb, status.requests, status.cause) if status else ()
        rows.append((found.id, found.family.options.task, *state))
    return page("Models", table(("id", "type", "state", "MiB", "requests", "cause"), rows))


@router.get("/admin/archive", response_class=HTMLResponse)
async def archive_page(context: ContextDep) -> HTMLResponse:
    """The newest files of all owners."""
    entries, total = await context.archive.entries(ArchiveQuery(limit=NEWEST))
    rows = [
        (entry.filename, entry.type, entry.size, entry.model, entry.owner, entry.prompt)
        for entry in entries
    ]
    titles = ("file", "type", "bytes", "model", "owner", "prompt")
    return page(f"Archive ({total})", table(titles, rows))


@router.get("/admin/metrics", response_class=HTMLResponse)
async def metrics_page(context: ContextDep) -> HTMLResponse:
    """Requests by category."""
    categories = summary(await context.observability.whole_tally())["categories"]
    titles = ("category", "requests", "errors", "left", "per minute", "p50 ms", "p95 ms", "p99 ms")
    rows = []
    for name, one in categories.items():
        counts = (one["total"], one["error_count"], one["disconnected"], one["throughput_per_min"])
        latency = one["latency_ms"]
        rows.append((name, *counts, latency["p50"], latency["p95"], latency["p99"]))
    return page("Requests", table(titles, rows))
