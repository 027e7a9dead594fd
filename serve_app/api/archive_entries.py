"""Archive entries on the wire, for the native routes and the administration."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import Depends, Query

from serve_app.access.tokens import Principal
from serve_app.api.context import Context
from serve_app.archive.entries import ArchiveQuery, Entry
from serve_app.core.bounds import INT64
from serve_app.core.media import MediaKind

Moment = Annotated[float | None, Query(allow_inf_nan=False)]
Name = Annotated[str | None, Query(max_length=1000)]


def visible_owner(principal: Principal) -> str | None:
    """The owner whose things a caller sees; None is everybody's."""
    return None if "admin" in principal.scopes else principal.owner


def archive_filters(
    type: Annotated[MediaKind | None, Query()] = None,
    model: Name = None,
    operation: Name = None,
    owner: Name = None,
    tag: Name = None,
    q: Name = None,
    created_after: Moment = None,
    created_before: Moment = None,
    order: Annotated[Literal["desc", "asc"], Query()] = "desc",
    offset: Annotated[int, Query(ge=0, lt=INT64)] = 0,
) -> ArchiveQuery:
    """The query parameters but `limit`."""
    return ArchiveQuery(
        offset=offset,
        type=type,
        model=model,
        operation=operation,
        owner=owner,
        tag=tag,
        q=q,
        created_after=created_after,
        created_before=created_before,
        order=order,
    )


FiltersDep = Annotated[ArchiveQuery, Depends(archive_filters)]


async def listing(context: Context, query: ArchiveQuery, owner: str | None) -> dict[str, Any]:
    """A page of the entries that `owner` sees. Asking for another's finds none."""
    found: list[Entry] = []
    total = 0
    if owner in (None, query.owner) or query.owner is None:
        mine = query.model_copy(update={"owner": query.owner or owner})
        found, total = await context.archive.entries(mine)
    return {
        "files": await asyncio.to_thread(lambda: [entry_object(context, entry) for entry in found]),
        "total": total,
        "limit": query.limit,
        "offset": query.offset,
    }


def entry_object(context: Context, entry: Entry) -> dict[str, Any]:
    """An entry with the addresses of its file and preview."""
    files = context.files
    return entry.model_dump(exclude={"preview"}) | {
        "url": files.url(entry.filename),
        "preview_url": files.url(f"{entry.preview}.webp") if entry.preview else None,
    }
