"""/admin/change-password: the own password."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from serve_app.access.sign_in import PasswordChange
from serve_app.access.tokens import WebSession
from serve_app.api.admin.html import error_line, page, read_form
from serve_app.api.admin.signed_in import WebSessionDep
from serve_app.api.context import ContextDep
from serve_app.api.errors import error_headers
from serve_app.core.errors import InvalidRequest

router = APIRouter(tags=["admin"])


@router.get("/admin/change-password", response_class=HTMLResponse)
async def change_password_page(web: WebSessionDep) -> Response:
    """The form for changing the password."""
    return password_form(web)


@router.post("/admin/change-password", response_class=HTMLResponse)
async def change_password(request: Request, context: ContextDep, web: WebSessionDep) -> Response:
    """Change the password and end the user's other web sessions."""
    form = await read_form(request)
    try:
        await context.access.sign_in.change_password(web, read_change(form, web))
    except InvalidRequest as error:
        # A page with the form to try again.
        return password_form(web, error)
    await context.access.credentials.refresh()
    return RedirectResponse("/admin", 302)


def read_change(form: dict[str, str], web: WebSession) -> PasswordChange:
    """What the form asks for. InvalidRequest."""
    new = form.get("new_password", "")
    if form.get("confirm_password", "") != new:
        raise InvalidRequest("the two new passwords differ", param="confirm_password")
    old = None if web.must_change_password else form.get("old_password", "")
    return PasswordChange(old, new)


def password_form(web: WebSession, error: InvalidRequest | None = None) -> HTMLResponse:
    """The form, with what was wrong."""
    fields = [("new_password", "New password"), ("confirm_password", "Once more")]
    if not web.must_change_password:
        fields.insert(0, ("old_password", "Old password"))
    inputs = "".join(
        f'<label>{label} <input name="{name}" type="password" required></label>\n'
        for name, label in fields
    )
    form = f'<form method="post" action="/admin/change-password">\n{inputs}<button>Change</button>'
    body = f"{error_line(error.message if error else None)}{form}</form>"
    response = page("Change password", body, status=error.status if error else 200)
    response.headers.update(error_headers(error) if error else {})
    return response
