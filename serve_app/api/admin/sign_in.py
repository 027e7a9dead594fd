"""/login, /logout, /admin/api/login and /admin/api/session."""

from collections.abc import Mapping
from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.responses import Response

from serve_app.access.authentication import check_csrf
from serve_app.access.callers import Caller
from serve_app.access.forward import ForwardedUser
from serve_app.access.tokens import Principal, WebSession
from serve_app.access.web_sessions import close_session
from serve_app.api.admin.fields import CHANGE_PASSWORD, AdminBody, Secret, Username
from serve_app.api.admin.html import error_line, page, read_form
from serve_app.api.admin.signed_in import (
    CallerDep,
    VisitorDep,
    clear_cookie,
    refuse_foreign_page,
    set_cookie,
)
from serve_app.api.admin.times import rfc3339
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.errors import error_headers
from serve_app.core.errors import (
    AppError,
    Forbidden,
    InvalidRequest,
    RateLimited,
    Unauthenticated,
)

router = APIRouter(tags=["admin"])
HOME = "/admin"


class LoginBody(AdminBody):
    """The credentials of a user."""

    username: Username
    password: Secret


@router.get("/login", response_class=HTMLResponse)
async def login_page(
    request: Request, context: ContextDep, caller: CallerDep, visitor: VisitorDep, next: str = ""
) -> Response:
    """The sign-in form; a redirect for users who are signed in, here or by a listed proxy."""
    peer = request.client.host if request.client else None
    forwarded = context.access.forwarded(request.headers, peer)
    if forwarded is not None:
        return await _forward_sign_in(context, forwarded, caller, next)
    if visitor is not None:
        return RedirectResponse(landing(visitor, next), 302)
    return login_form(next)


async def _forward_sign_in(
    context: Context, forwarded: ForwardedUser, caller: Caller, wanted: str
) -> Response:
    assert context.access.forward is not None
    try:
        opened = await context.access.forward.sign_in(forwarded)
    except (InvalidRequest, Forbidden) as error:
        # A page, because it is a browser that comes here.
        return login_form(wanted, error)
    # The cookie that was signed in before may end with this one's arrival.
    await context.access.credentials.refresh()
    response = RedirectResponse(landing(opened.session, wanted), 302)
    set_cookie(response, opened, caller)
    return response


@router.post("/login", response_class=HTMLResponse)
async def login(request: Request, context: ContextDep, caller: CallerDep) -> Response:
    """Sign in with the form's `username`, `password` and `next`."""
    refuse_foreign_page(request, context, caller)
    form = await read_form(request)
    wanted = form.get("next", "")
    if await _is_of_a_client(context, form):
        return login_form(wanted, Unauthenticated("the user name or the password is wrong"))
    try:
        opened = await context.access.sign_in.sign_in(
            form.get("username", ""), form.get("password", ""), address=caller.address
        )
    except (Unauthenticated, RateLimited) as error:
        # The one place where a failure is a page with the form to try again.
        return login_form(wanted, error)
    response = RedirectResponse(landing(opened.session, wanted), 302)
    set_cookie(response, opened, caller)
    return response


async def _is_of_a_client(context: Context, form: Mapping[str, str]) -> bool:
    """Whether it is no user who signs in, but a program that posts its token, or nothing, to every
    web UI before it calls the API: that must not count as a failure, or nobody could sign in from
    there.
    """
    username, password = form.get("username", ""), form.get("password", "")
    if not (username and password):
        return True
    access = context.access
    is_token = await access.credentials.token(password) is not None
    return is_token and not await access.sign_in.is_password(username, password)


@router.post("/admin/api/login")
async def api_login(
    body: LoginBody, request: Request, context: ContextDep, caller: CallerDep
) -> JSONResponse:
    """Sign in; the response sets the cookie."""
    refuse_foreign_page(request, context, caller)
    opened = await context.access.sign_in.sign_in(
        body.username, body.password, address=caller.address
    )
    web = opened.session
    response = JSONResponse(
        {
            "username": web.username,
            "role": web.role,
            "must_change_password": web.must_change_password,
        }
    )
    set_cookie(response, opened, caller)
    return response


@router.get("/admin/api/session")
async def session(principal: PrincipalDep) -> JSONResponse:
    """Read who is signed in, and the CSRF token that changes need."""
    return JSONResponse(session_object(principal))


@router.get("/logout")
@router.post("/logout")
async def logout(
    request: Request, context: ContextDep, caller: CallerDep, visitor: VisitorDep
) -> Response:
    """Sign out: end the web session on the server and in the browser."""
    if visitor is not None:
        check_csrf(visitor, request.method, request.headers, caller)
        await end_session(context, visitor)
    response = RedirectResponse("/login", 302)
    clear_cookie(response, caller)
    return response


async def end_session(context: Context, web: WebSession) -> None:
    """Effective at once on this replica."""
    await context.database.write(lambda session: close_session(session, web.digest))
    await context.access.credentials.refresh()


def session_object(principal: Principal) -> dict[str, object]:
    """A credential as its holder sees it; a token has no `csrf_token` and needs none."""
    web = principal.session
    expires_at = principal.expires_at
    return {
        "username": principal.owner,
        "role": "admin" if "admin" in principal.scopes else "user",
        "scopes": sorted(principal.scopes, reverse=True),
        "expires_at": rfc3339(expires_at) if expires_at is not None else None,
        "csrf_token": web.csrf_token if web is not None else None,
    }


def landing(web: WebSession, wanted: str) -> str:
    """Where a browser goes after it signed in."""
    if web.must_change_password:
        return CHANGE_PASSWORD
    return own_path(wanted) or HOME


def own_path(path: str) -> str | None:
    """The path when it leads nowhere but to this server. Browsers read backslashes as slashes and
    drop control characters.
    """
    if not path.startswith("/") or path.startswith("//") or len(path) > 2000:
        return None
    return path if path.isascii() and path.isprintable() and "\\" not in path else None


def login_form(wanted: str, error: AppError | None = None) -> HTMLResponse:
    """The form, with what went wrong; what was typed is not repeated."""
    kept = escape(own_path(wanted) or "")
    body = (
        f"{error_line(error.message if error else None)}"
        '<form method="post" action="/login">\n'
        f'<input type="hidden" name="next" value="{kept}">\n'
        '<label>User name <input name="username" autocomplete="username" required></label>\n'
        '<label>Password <input name="password" type="password" '
        'autocomplete="current-password" required></label>\n'
        "<button>Sign in</button></form>"
    )
    response = page("Sign in", body, status=error.status if error else 200)
    response.headers.update(error_headers(error) if error else {})
    return response
