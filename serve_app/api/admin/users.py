"""/admin/api/users."""

import time
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.access.passwords import check_password
from serve_app.access.tokens import Role
from serve_app.access.users import (
    UserChange,
    add_user,
    all_users,
    change_user,
    check_username,
    remove_user,
)
from serve_app.api.admin.fields import SUCCESS, AdminBody, RowId, Secret, Username
from serve_app.api.admin.times import rfc3339
from serve_app.api.context import ContextDep
from serve_app.api.json_answer import json_response
from serve_app.api.wire_types import Flag
from serve_app.database.schema import UserRow

router = APIRouter(tags=["admin"])


class UserBody(AdminBody):
    """A new user."""

    username: Username
    password: Secret
    role: Role = "user"
    must_change_password: Flag = True


class UserChangeBody(AdminBody):
    """Absent fields are not changed."""

    role: Role | None = None
    password: Secret | None = None
    must_change_password: Flag | None = None


@router.get("/admin/api/users")
async def list_users(context: ContextDep) -> Response:
    """List all users."""
    rows = await context.database.read(all_users)
    return json_response({"users": [user_object(row) for row in rows]})


@router.post("/admin/api/users")
async def create_user(body: UserBody, context: ContextDep) -> Response:
    """Create a user."""
    check_username(body.username)
    check_password(body.password, param="password")
    hashed = await context.access.sign_in.passwords.hash(body.password)
    row = await context.database.write(
        lambda session: add_user(
            session,
            body.username,
            hashed,
            role=body.role,
            must_change_password=body.must_change_password,
            now=time.time(),
        )
    )
    return json_response(SUCCESS | {"id": row.id})


@router.patch("/admin/api/users/{id}")
async def patch_user(id: RowId, body: UserChangeBody, context: ContextDep) -> Response:
    """Change a user and end their web sessions."""
    hashed = None
    if body.password is not None:
        check_password(body.password, param="password")
        hashed = await context.access.sign_in.passwords.hash(body.password)
    change = UserChange(body.role, hashed, body.must_change_password)
    await context.database.write(lambda session: change_user(session, id, change, now=time.time()))
    await context.access.credentials.refresh()
    return json_response(SUCCESS)


@router.delete("/admin/api/users/{id}")
async def delete_user(id: RowId, context: ContextDep) -> Response:
    """Delete a user with their web sessions and tokens."""
    await context.database.write(lambda session: remove_user(session, id))
    await context.access.credentials.refresh()
    return json_response(SUCCESS)


def user_object(row: UserRow) -> dict[str, Any]:
    """A user on the wire."""
    return {
        "id": row.id,
        "username": row.username,
        "role": row.role,
        "created_at": rfc3339(row.created_at),
        "must_change_password": row.must_change_password,
        "last_changed_at": rfc3339(row.last_changed_at),
    }
