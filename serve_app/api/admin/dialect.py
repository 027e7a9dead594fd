"""The administration as a dialect: its pages, and what they call."""

from typing import Any

from serve_app.api.admin.fields import CHANGE_PASSWORD, SIGN_IN
from serve_app.api.admin.router import routes
from serve_app.api.admin.tasks import task_object
from serve_app.api.dialect import Dialect, PathRule, SessionPages
from serve_app.api.errors import render_native
from serve_app.api.served_files import ServedFiles
from serve_app.core.errors import AppError
from serve_app.core.jobs import Job


def _closed(method: str, pattern: str, **more: Any) -> PathRule:
    """Never counted nor captured: bodies hold passwords and keys."""
    return PathRule(method, pattern, is_counted=False, is_small=True, **more)


RULES = (
    _closed("*", SIGN_IN, access="open"),
    _closed("*", "/logout", access="open"),
    _closed("*", "/admin/api/login", access="open"),
    PathRule("*", "/metrics", access="scrape", is_counted=False, is_logged=False),
    _closed("*", CHANGE_PASSWORD, access="own", is_page=True),
    _closed("*", "/admin/api/session", access="own"),
    # The saved profiles are everybody's.
    _closed("GET", "/admin/api/characters/**", access="own"),
    _closed("GET", "/admin/api/environments/**", access="own"),
    _closed("GET", "/admin/api/voices/**", access="own"),
    _closed("*", "/admin/api/**", access="admin"),
    _closed("*", "/admin/**", access="admin", is_page=True),
)


def render_error(error: AppError, path: str) -> dict[str, Any]:  # noqa: ARG001
    """The native shape."""
    return render_native(error)


async def render_job(job: Job, dialect: Dialect, files: ServedFiles) -> dict[str, Any]:  # noqa: ARG001
    """As the list of tasks has it; nothing here makes a job."""
    return task_object(job)


ADMIN = Dialect(
    name="admin",
    prefixes=("/admin", SIGN_IN, "/logout", "/metrics"),
    routes=routes,
    rules=RULES,
    render_error=render_error,
    render_job=render_job,
    session_pages=SessionPages(sign_in=SIGN_IN, change_password=CHANGE_PASSWORD),
)
