"""/admin/api/archive: files of all owners, and how long they are kept."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.archive_entries import FiltersDep, entry_object, listing
from serve_app.api.context import Context, ContextDep
from serve_app.api.json_answer import json_response
from serve_app.api.wire_object import WireObject
from serve_app.archive.entries import ArchiveSettings
from serve_app.core.settings import Retention

router = APIRouter(tags=["admin"])


class ArchiveSettingsBody(WireObject):
    """Absent fields are not changed; `directory` is accepted and read-only."""

    enabled: bool | None = Field(default=None, strict=True)
    retention: Retention | None = None


@router.get("/admin/api/archive")
async def list_archive(
    filters: FiltersDep,
    context: ContextDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Response:
    """List the generated files of all owners, newest first."""
    query = filters.model_copy(update={"limit": limit})
    return json_response(await listing(context, query, None))


@router.get("/admin/api/archive/{filename}")
async def read_entry(filename: str, context: ContextDep) -> Response:
    """Read one entry."""
    return json_response(entry_object(context, await context.archive.entry(filename, owner=None)))


@router.delete("/admin/api/archive/{filename}")
async def delete_entry(filename: str, context: ContextDep) -> Response:
    """Delete a file with its previews and its record."""
    await context.archive.delete(filename, owner=None)
    return json_response({"deleted": filename})


@router.get("/admin/api/archive-settings")
async def read_settings(context: ContextDep) -> Response:
    """Read the settings of the archive."""
    return json_response(_settings_object(context, await context.archive.settings()))


@router.post("/admin/api/archive-settings")
async def change_settings(body: ArchiveSettingsBody, context: ContextDep) -> Response:
    """Turn the archive on or off, and set how long files are kept."""
    changes = body.model_dump(exclude_none=True)
    settings = (await context.archive.settings()).model_copy(update=changes)
    await context.archive.change_settings(settings)
    return json_response(_settings_object(context, settings))


def _settings_object(context: Context, settings: ArchiveSettings) -> dict[str, Any]:
    return settings.model_dump() | {"directory": context.config.storage.blobs_location}
