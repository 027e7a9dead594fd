"""Stored files as answers: whole or in ranges, under conditions, to be shown or saved."""

from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.datastructures import Headers

from serve_app.api.byte_ranges import Multipart, Span, content_range, requested
from serve_app.api.conditions import is_not_modified, is_precondition_met, is_same_file
from serve_app.api.context import Context
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.media import Blob


def stored_file_response(
    context: Context, blob: Blob, asked: Headers, *, disposition: str | None = None
) -> Response:
    """A file as the headers of its request ask for it; `disposition` says what a browser does with
    it.
    """
    headers = file_headers(blob)
    if disposition is not None:
        headers["Content-Disposition"] = disposition
    etag = headers["ETag"]
    used = BackgroundTask(context.uploads.use, blob)
    if not is_precondition_met(asked, etag):
        return Response(status_code=412, headers=headers)
    if is_not_modified(asked, etag):
        return Response(status_code=304, headers=headers)
    spans = None
    if is_same_file(asked, etag):
        spans = requested(asked.get("range", ""), blob.size)
    return file_answer(context.blobs, blob, headers, spans, used)


def file_headers(blob: Blob) -> dict[str, str]:
    """A stored file never changes, so its hash is a strong validator."""
    return {"ETag": f'"{blob.sha256}"', "Accept-Ranges": "bytes", "Content-Type": blob.mime}


def file_answer(
    store: FsspecBlobStore,
    blob: Blob,
    headers: dict[str, str],
    spans: list[Span] | None,
    then: BackgroundTask,
) -> Response:
    """The whole file for None, else the parts, which are none of the file when `spans` is empty.
    `then` is done after bytes were sent.
    """
    match spans:
        case None:
            headers["Content-Length"] = str(blob.size)
            return StreamingResponse(store.read(blob), headers=headers, background=then)
        case []:
            headers |= {"Content-Range": f"bytes */{blob.size}", "x-should-retry": "false"}
            return Response(status_code=416, headers=headers)
        case [(start, end)]:
            headers["Content-Range"] = content_range((start, end), blob.size)
            headers["Content-Length"] = str(end - start)
            body = store.read(blob, start=start, end=end)
            return StreamingResponse(body, 206, headers=headers, background=then)
    parts = Multipart(spans, blob.size, blob.mime)
    headers |= {"Content-Type": parts.content_type, "Content-Length": str(parts.length)}
    body = parts.body(lambda start, end: store.read(blob, start=start, end=end))
    return StreamingResponse(body, 206, headers=headers, background=then)
