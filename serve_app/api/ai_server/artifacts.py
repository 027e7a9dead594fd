"""Generated files by address: downloads, small variants and deletion."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from starlette.routing import BaseRoute

from serve_app.api.ai_server.arguments import Arguments
from serve_app.api.ai_server.artifact_links import ArtifactPlace, place_of
from serve_app.api.ai_server.calls import service_response
from serve_app.api.ai_server.operation_route import Done, operation_routes
from serve_app.api.ai_server.scalars import NOT_EMPTY, WordList, Words, YesNo
from serve_app.api.ai_server.service_body import ServiceBody, bound
from serve_app.api.ai_server.service_error import ERRORS, ServiceError, not_found
from serve_app.api.ai_server.variants import variant_of
from serve_app.api.archive_entries import visible_owner
from serve_app.api.call import Call, CallDep
from serve_app.api.context import Context
from serve_app.api.file_answer import stored_file_response
from serve_app.archive.entries import Entry
from serve_app.core.errors import Forbidden, NotFound
from serve_app.core.media import Blob

TAG = "files"
MOST_PATHS = 1000
router = APIRouter(tags=[TAG], responses=ERRORS)
Download = Annotated[str | None, Query()]
YES = frozenset({"true", "1"})


class PathFields(ServiceBody):
    """An address, with or without the folder it begins with."""

    path: Annotated[Words, NOT_EMPTY]
    download: YesNo | None = None
    variant: Words | None = None


class PathsFields(ServiceBody):
    """Several addresses."""

    paths: WordList


@router.get("/artifacts/input/{path:path}", response_class=Response)
async def uploaded(
    path: str,
    call: CallDep,
    download: Download = None,
) -> Response:
    """Download an upload of one's own."""
    blob, place = await _found(call, f"input/{path}")
    return _answer(call, blob, place, is_download=_is_yes(download))


@router.get("/artifacts/{path:path}", response_class=Response)
async def artifact(
    path: str,
    call: CallDep,
    download: Download = None,
) -> Response:
    """Download a generated file; `Range` and `If-None-Match` are supported."""
    blob, place = await _found(call, path)
    return _answer(call, blob, place, is_download=_is_yes(download))


@router.get("/variants/{options}/{path:path}", response_class=Response)
async def variant(options: str, path: str, call: CallDep) -> Response:
    """Download a generated image in another size, as WebP."""
    return await _variant(call, options, path)


@router.delete("/files/{path:path}")
async def delete_file(path: str, call: CallDep) -> Response:
    """Delete a file of one's own."""
    await _deleted(call, path)
    return service_response({})


async def get_artifact(call: Call, arguments: Arguments) -> Response:
    """GetArtifact."""
    fields = bound(PathFields, arguments)
    blob, place = await _found(call, fields.path)
    return _answer(call, blob, place, is_download=bool(fields.download))


async def get_variant(call: Call, arguments: Arguments) -> Response:
    """GetVariant."""
    fields = bound(PathFields, arguments)
    return await _variant(call, fields.variant or "", fields.path)


async def delete_one(call: Call, arguments: Arguments) -> Done:
    """DeleteFile."""
    await _deleted(call, bound(PathFields, arguments).path)
    return {}, None


async def delete_many(call: Call, arguments: Arguments) -> Done:
    """DeleteFiles."""
    paths = bound(PathsFields, arguments).paths
    if len(paths) > MOST_PATHS:
        raise ServiceError(f"at most {MOST_PATHS} files are deleted at once, not {len(paths)}")
    told: dict[str, list[str]] = {"deleted": [], "missing": [], "failed": []}
    for path in paths:
        try:
            await _deleted(call, path)
            told["deleted"].append(path)
        except Forbidden:
            told["failed"].append(path)
        except ServiceError:
            told["missing"].append(path)
    return told, None


async def _found(call: Call, path: str) -> tuple[Blob, ArtifactPlace]:
    """A file that the caller may read."""
    place = place_of(path)
    blob: Blob | None = None
    if place is not None and place.is_input:
        owner = visible_owner(call.principal)
        blob = await call.context.uploads.find(place.name, owner=owner)
    elif place is not None:
        blob = await _generated(call.context, place)
    if place is None or blob is None or not await call.context.blobs.has(blob):
        raise not_found("Artifact")
    return blob, place


async def _generated(context: Context, place: ArtifactPlace) -> Blob | None:
    entries = await _entries(context, place)
    if entries:
        return entries[0].blob
    if (await context.archive.settings()).enabled:
        return None
    # What was made is known from the jobs alone: other bytes that are stored are uploads.
    made = await context.job_store.made(place.sha256, after=place.after, before=place.before)
    return next(filter(place.is_of, made), None)


async def _entries(context: Context, place: ArtifactPlace) -> list[Entry]:
    entries = await context.archive.with_content(
        place.sha256, created_after=place.after, created_before=place.before
    )
    return [entry for entry in entries if place.is_of(entry.blob)]


async def _deleted(call: Call, path: str) -> None:
    """Delete a file of the caller's. Forbidden for another's, ServiceError for none."""
    place = place_of(path)
    if place is None:
        raise not_found("Artifact")
    context, owner = call.context, visible_owner(call.principal)
    if place.is_input:
        if await context.uploads.find(place.name, owner=owner) is None:
            raise not_found("Artifact")
        try:
            await context.uploads.delete(place.name, owner=owner)
        except NotFound:
            raise not_found("Artifact") from None
        return
    entries = await _entries(context, place)
    mine = [entry for entry in entries if owner in (None, entry.owner)]
    if entries and not mine:
        raise Forbidden("this file is another user's", code="not_owner")
    if not mine:
        raise not_found("Artifact")
    for entry in mine:
        await context.archive.delete(entry.filename, owner=owner)


async def _variant(call: Call, options: str, path: str) -> Response:
    place = place_of(path)
    if place is not None and place.is_input:
        raise not_found("Artifact")
    blob, place = await _found(call, path)
    small = await variant_of(call.context, blob, options)
    return stored_file_response(call.context, small, call.request.headers)


def _answer(call: Call, blob: Blob, place: ArtifactPlace, *, is_download: bool) -> Response:
    disposition = f"attachment; filename={place.name}" if is_download else None
    return stored_file_response(call.context, blob, call.request.headers, disposition=disposition)


def _is_yes(text: str | None) -> bool:
    return (text or "").strip().lower() in YES


ROUTES: list[BaseRoute] = [
    *operation_routes("GetArtifact", get_artifact, does="Download a generated file.", tag=TAG),
    *operation_routes(
        "GetVariant", get_variant, does="Download an image in another size.", tag=TAG
    ),
    *operation_routes("DeleteFile", delete_one, does="Delete a file of one's own.", tag=TAG),
    *operation_routes(
        "DeleteFiles", delete_many, does="Delete files of one's own.", tag=TAG, body=PathsFields
    ),
    *router.routes,
]
