"""The web session behind a request, and its cookie."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import Response

from serve_app.access.callers import Caller
from serve_app.access.tokens import WebSession
from serve_app.access.web_sessions import LONGEST_S, OpenedSession, cookie_name
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.core.errors import Forbidden, Unauthenticated


async def get_caller(request: Request, context: ContextDep) -> Caller:
    """Where the request comes from."""
    peer = request.client.host if request.client else None
    return context.access.caller(request.headers, peer, scheme=request.url.scheme)


CallerDep = Annotated[Caller, Depends(get_caller)]


async def get_visitor(
    request: Request, context: ContextDep, caller: CallerDep
) -> WebSession | None:
    """The web session on a route that is open to all; None for who is not signed in."""
    return await context.access.web_session(request.headers, caller)


async def get_web_session(principal: PrincipalDep) -> WebSession:
    """The web session on a route that only a browser can use. Unauthenticated."""
    if principal.session is None:
        raise Unauthenticated("sign in at /login", remedy="an API token has no password")
    return principal.session


VisitorDep = Annotated[WebSession | None, Depends(get_visitor)]
WebSessionDep = Annotated[WebSession, Depends(get_web_session)]


def refuse_foreign_page(request: Request, context: Context, caller: Caller) -> None:
    """Raises Forbidden when a page of another site sends the sign-in: it would sign the browser
    in as somebody else.
    """
    if not context.access.origins.allow(request.headers, caller):
        raise Forbidden("sign in from this server's own page", code="csrf_failed")


def set_cookie(response: Response, opened: OpenedSession, caller: Caller) -> None:
    """Hand the browser its session."""
    response.set_cookie(
        cookie_name(caller.port),
        opened.cookie,
        max_age=int(LONGEST_S),
        path="/",
        secure=caller.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def clear_cookie(response: Response, caller: Caller) -> None:
    """Take it back."""
    response.delete_cookie(
        cookie_name(caller.port),
        path="/",
        secure=caller.scheme == "https",
        httponly=True,
        samesite="strict",
    )
