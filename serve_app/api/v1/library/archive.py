"""GET /v1/archive and its entries: every generated file of the caller."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from serve_app.api.archive_entries import FiltersDep, entry_object, listing, visible_owner
from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.json_answer import json_response
from serve_app.api.v1.wire import ERRORS

router = APIRouter(tags=["archive"], responses=ERRORS)


@router.get("/v1/archive")
async def list_archive(
    filters: FiltersDep,
    context: ContextDep,
    principal: PrincipalDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Response:
    """List the client's generated files, newest first; an admin sees those of all users."""
    query = filters.model_copy(update={"limit": limit})
    return json_response(await listing(context, query, visible_owner(principal)))


@router.get("/v1/archive/{filename}")
async def read_entry(filename: str, context: ContextDep, principal: PrincipalDep) -> Response:
    """Read one entry."""
    entry = await context.archive.entry(filename, owner=visible_owner(principal))
    return json_response(entry_object(context, entry))


@router.delete("/v1/archive/{filename}")
async def delete_entry(filename: str, context: ContextDep, principal: PrincipalDep) -> Response:
    """Delete a file with its previews and its record."""
    await context.archive.delete(filename, owner=visible_owner(principal))
    return json_response({"deleted": filename})
