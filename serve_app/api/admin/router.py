"""Every route of the administration, in one list."""

from starlette.routing import BaseRoute

from serve_app.api.admin import (
    archive,
    audit,
    observability,
    pages,
    password,
    profiles,
    sign_in,
    status,
    tasks,
    tokens,
    usage,
    users,
)

PARTS = (
    *(archive, profiles, sign_in, password, tokens, usage, users, pages, tasks, status),
    *(observability, audit),
)
routes: list[BaseRoute] = [route for part in PARTS for route in part.router.routes]
