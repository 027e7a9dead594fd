"""Stored files: downloads with ranges, uploads by content, look-ups by hash."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from serve_app.api.archive_entries import visible_owner
from serve_app.api.body_limit import streams_body
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.file_answer import stored_file_response
from serve_app.api.json_body import read_json_object
from serve_app.api.multipart import read_form
from serve_app.api.v1.wire import ERRORS
from serve_app.blobs.intake import MediaIntake
from serve_app.blobs.sniff import extension_of, kind_of
from serve_app.blobs.store import FILES, SHA256, ObservedStore
from serve_app.core.errors import Cancelled, InvalidRequest, NotFound, UnsupportedMedia
from serve_app.core.image.image_files import unread
from serve_app.core.media import Blob

router = APIRouter(tags=["files"], responses=ERRORS)
UPLOAD_FIELDS = ("file", "upload", "media")


@router.get("/v1/files/{filename}", response_class=Response)
async def download(
    filename: str,
    request: Request,
    context: ContextDep,
    download: Annotated[bool, Query()] = False,
) -> Response:
    """Download a file; `Range` and `If-None-Match` are supported."""
    blob = await context.blobs.find_file(filename) or await context.archive.find_file(filename)
    if blob is None:
        raise NotFound(f"no file is named {filename[:100]!r}", param="filename")
    disposition = f'attachment; filename="{filename}"' if download else None
    return stored_file_response(context, blob, request.headers, disposition=disposition)


@router.post("/v1/files/upload")
async def upload(request: Request, context: ContextDep, principal: PrincipalDep) -> JSONResponse:
    """Store a file: multipart `file`, `upload` or `media`; JSON `{file|data, filename?}`; or the
    body itself. Equal content is stored once and keeps its id.
    """
    store = ObservedStore(context.blobs.url)
    blob = await _received(request, context.intake.into(store))
    why = (
        unread(blob.mime)
        if kind_of(blob.mime)
        else "this is not an image, an audio file or a video"
    )
    if why is not None:
        await context.uploads.drop(blob, store)
        raise UnsupportedMedia(why, param="file")
    await context.uploads.keep(blob, store, owner=principal.owner, param="file")
    return JSONResponse(upload_object(context, blob) | {"existed": store.existed})


@router.delete("/v1/files/{filename}")
async def delete_upload(
    filename: str, context: ContextDep, principal: PrincipalDep
) -> JSONResponse:
    """Delete an upload of the client; for an admin, all uploads of the same content. Jobs,
    archive entries and profiles keep the files that they use.
    """
    await context.uploads.delete(filename, owner=visible_owner(principal))
    return JSONResponse({"deleted": filename})


@router.get("/v1/files/blob/{hash}")
async def find_blob(hash: str, context: ContextDep) -> JSONResponse:
    """Read the upload object of a stored hash, with or without `sha256:`."""
    digest = hash.removeprefix("sha256:").lower()
    blob = await context.blobs.find(digest) if SHA256.fullmatch(digest) else None
    if blob is None:
        raise NotFound(f"no stored file has the hash {hash[:100]!r}", param="hash")
    return JSONResponse(upload_object(context, blob) | {"existed": True, "exists": True})


def upload_object(context: Context, blob: Blob) -> dict[str, Any]:
    """What an upload answers."""
    name = f"up-{blob.sha256}.{extension_of(blob.mime)}"
    return {
        "id": f"sha256:{blob.sha256}",
        "url": context.files.url(name),
        "path": f"{FILES}/{name}",
        "bytes": blob.size,
        "mime": blob.mime,
        "kind": kind_of(blob.mime),
    }


async def _received(request: Request, intake: MediaIntake) -> Blob:
    match request.headers.get("content-type", "").partition(";")[0].strip().lower():
        case "multipart/form-data":
            form = await read_form(request, intake=intake, file_fields=UPLOAD_FIELDS)
            blobs = [blob for blobs in form.files.values() for blob in blobs]
            text_fields = form.text_fields()
            texts = [text for field in UPLOAD_FIELDS for text in text_fields.get(field, ())]
            if texts and not blobs:
                return await intake.take(texts[-1], param="file")
            if not blobs:
                raise InvalidRequest(
                    "the form has no file", remedy="send it as 'file'", param="file"
                )
            if len(blobs) > 1:
                raise InvalidRequest(
                    f"{len(blobs)} files were sent", remedy="send one", param="file"
                )
            return blobs[0]
        case "application/json":
            body = await read_json_object(request)
            value = body.get("file") or body.get("data")
            if not isinstance(value, str):
                raise InvalidRequest(
                    "'file' or 'data' must contain the media as text", param="file"
                )
            return await intake.take(value, param="file")
    return await intake.take_upload(_body(request), param="file")


async def _body(request: Request) -> AsyncGenerator[bytes]:
    streams_body(request)
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect as error:
        raise Cancelled("the client disconnected while it sent the body") from error
