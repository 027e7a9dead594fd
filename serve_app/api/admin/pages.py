"""/admin and /admin/tokens: plain pages over the database."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from serve_app.access.token_store import all_tokens
from serve_app.access.users import all_users
from serve_app.api.admin.html import page, table
from serve_app.api.admin.times import optional_rfc3339
from serve_app.api.context import ContextDep, PrincipalDep

router = APIRouter(tags=["admin"])
LINKS = """<ul>
<li><a href="/admin/tokens">Tokens</a></li>
<li><a href="/admin/change-password">Change password</a></li>
<li><a href="/docs">API</a></li>
<li><a href="/logout">Sign out</a></li>
</ul>
"""


@router.get("/admin", response_class=HTMLResponse)
async def home(context: ContextDep, principal: PrincipalDep) -> HTMLResponse:
    """Where an administrator begins."""
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
