"""/admin/api/audit: who has changed what."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from serve_app.api.admin.times import rfc3339
from serve_app.api.context import ContextDep
from serve_app.api.json_answer import json_response
from serve_app.core.bounds import INT64
from serve_app.database.schema import AuditRow
from serve_app.upstreams.audit import Action
from serve_app.upstreams.audit_reading import AuditQuery, read_audit

router = APIRouter(tags=["admin"])
Name = Annotated[str | None, Query(max_length=1000)]
Moment = Annotated[float | None, Query(allow_inf_nan=False)]


def audit_query(
    action: Annotated[Action | None, Query()] = None,
    kind: Name = None,
    subject: Name = None,
    name: Name = None,
    user: Name = None,
    created_after: Moment = None,
    created_before: Moment = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, lt=INT64)] = 0,
) -> AuditQuery:
    """The query parameters."""
    return AuditQuery(
        action=action,
        kind=kind,
        subject=subject,
        name=name,
        owner=user,
        after=created_after,
        before=created_before,
        limit=limit,
        offset=offset,
    )


@router.get("/admin/api/audit")
async def list_audit(
    query: Annotated[AuditQuery, Depends(audit_query)], context: ContextDep
) -> Response:
    """List what administrators have changed, newest first."""
    rows, total = await context.database.read(partial(read_audit, query=query))
    return json_response(
        {
            "data": [audit_object(row) for row in rows],
            "total": total,
            "limit": query.limit,
            "offset": query.offset,
        }
    )


def audit_object(row: AuditRow) -> dict[str, Any]:
    """A record on the wire; secrets are masked in it since it was written."""
    return {
        "id": row.number,
        "created_at": rfc3339(row.at),
        "user": row.owner,
        "credential": row.credential,
        "action": row.action,
        "kind": row.kind,
        "subject": row.subject,
        "name": row.name,
        "details": row.details,
    }
