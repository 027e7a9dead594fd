"""Forms, read as a stream: files go straight into the blob store, never to memory."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect, Request

from serve_app.api.body_limit import streams_body
from serve_app.api.disposition import parameters
from serve_app.api.form_parts import EventName, FormCollector, FormPart, plain_name
from serve_app.blobs.intake import MediaIntake
from serve_app.core.errors import Cancelled, InvalidRequest
from serve_app.core.media import Blob, MediaKind

PARTS = 200
CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "iso-8859-1", "windows-1252"})
"""Of text fields. Apache's HttpClient sends ISO-8859-1 unless told otherwise, and says so."""
BodyKind = Literal["form", "json"]


@dataclass(frozen=True)
class FormFile:
    """A stored file; `filename` is what the client calls it, None where it does not say."""

    field: str
    filename: str | None
    blob: Blob


@dataclass
class Form:
    """The text fields, repeated names in order, and the stored files by field name; `uploads` are
    all files in their order.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[Blob]] = field(default_factory=dict)
    uploads: list[FormFile] = field(default_factory=list)

    def text_fields(self, *, free: Collection[str] = ()) -> dict[str, list[str]]:
        """The text fields without those that say nothing: blank ones and, because browsers'
        `FormData` makes it of null, `null`; in `free` text that is a word.
        """
        text_fields: dict[str, list[str]] = {}
        for name, texts in self.fields.items():
            nothing = ("",) if name in free else ("", "null")
            if given := [text for text in texts if text not in nothing]:
                text_fields[name] = given
        return text_fields


def body_kind(request: Request, *, param: str) -> BodyKind:
    """Which of its two kinds the body of a route is that takes files in a form, or named in JSON.
    No body at all is a form without fields.

    Raises InvalidRequest for a body of another type, which lacks the file `param`.
    """
    kind = _content_type(request)
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return "form"
    if kind == "" and request.headers.get("content-length") == "0":
        return "form"
    if kind in ("application/json", ""):
        return "json"
    raise InvalidRequest(
        f"the body must be multipart/form-data with the file {param!r}, or JSON", param=param
    )


async def read_form(
    request: Request,
    *,
    intake: MediaIntake,
    file_fields: Collection[str],
    kind: MediaKind | None = None,
    other_fields: Collection[str] = (),
    takes_any_field: bool = False,
) -> Form:
    """Read a form. Parts named in `file_fields`, whose files are of the `kind`, or in
    `other_fields` are stored when they carry a file name, a medium's type or bytes that are no
    text; all others are text of at most 1 MiB each. With `takes_any_field`, so are files in fields
    of other names. A body has at most 200 parts, and a file that a browser was not given is none.
    `name[]` and `name[0]` are `name`.

    Raises InvalidRequest for a malformed body or a file in an unexpected field, and what the
    intake raises; a client that leaves is Cancelled and leaves no half-written file.
    """
    form = Form()
    if request.headers.get("content-length") == "0":
        return form
    if _content_type(request) != "multipart/form-data":
        return await _read_urlencoded(request)
    streams_body(request)
    kinds = dict.fromkeys(other_fields) | dict.fromkeys(file_fields, kind)
    events = _Events(request, file_fields if takes_any_field else kinds)
    try:
        async for name, part in _counted(events):
            if name == "text":
                form.fields.setdefault(part.name, []).append(_text(part))
                continue
            if part.name not in kinds and not takes_any_field:
                raise _unexpected(part.name, kinds)
            await _store(part, events, form, intake, kinds.get(part.name))
    finally:
        await events.aclose()
    return form


async def _counted(events: "_Events") -> AsyncGenerator[tuple[str, FormPart]]:
    """The parts, up to as many as there may be."""
    parts = 0
    async for name, part in events:
        parts += 1
        if parts > PARTS:
            raise InvalidRequest(f"the form has more than {PARTS} fields", param=part.name[:100])
        yield name, part


async def _read_urlencoded(request: Request) -> Form:
    """A form without files, which HTTP libraries send when they were given none."""
    form = Form()
    try:
        pairs = parse_qsl(
            (await request.body()).decode(),
            keep_blank_values=True,
            max_num_fields=PARTS,
            errors="strict",
        )
    except ClientDisconnect as error:
        raise Cancelled("the client disconnected while it sent the body") from error
    except ValueError:
        raise InvalidRequest(
            f"the body is not a URL-encoded UTF-8 form of at most {PARTS} fields"
        ) from None
    for name, text in pairs:
        form.fields.setdefault(plain_name(name), []).append(text)
    return form


class _Events(AsyncIterator[tuple[str, FormPart]]):
    """The parts in order; the data of a file must be read with `data` before the next part."""

    def __init__(self, request: Request, file_fields: Collection[str]) -> None:
        self._collector = FormCollector(file_fields)
        callbacks = self._collector.callbacks()
        self._parser = MultipartParser(_boundary(request), callbacks)  # type: ignore[arg-type]
        self._chunks = request.stream()

    async def __anext__(self) -> tuple[str, FormPart]:
        event = await self._next()
        if event is None:
            raise StopAsyncIteration
        return ("file" if event[0] == "begin" else "text"), event[1]

    async def data(self) -> AsyncGenerator[bytes]:
        """The bytes of the file whose beginning was the last event."""
        while (event := await self._next()) is not None and event[0] == "data":
            yield event[2]

    async def aclose(self) -> None:
        """Stop reading the body."""
        await self._chunks.aclose()

    async def _next(self) -> tuple[EventName, FormPart, bytes] | None:
        while not self._collector.events:
            try:
                chunk = await anext(self._chunks, b"")
                if not chunk:
                    self._check_end()
                    return None
                self._parser.write(chunk)
            except FormParserError as error:
                raise InvalidRequest("the multipart body is malformed") from error
            except ClientDisconnect as error:
                raise Cancelled("the client disconnected while it sent the body") from error
        return self._collector.events.pop(0)

    def _check_end(self) -> None:
        if not self._collector.has_ended:
            raise InvalidRequest("the multipart body ends too early")


async def _store(
    part: FormPart,
    events: _Events,
    form: Form,
    intake: MediaIntake,
    kind: MediaKind | None,
) -> None:
    name = part.name
    blob = await intake.take_upload(events.data(), param=name, kind=kind)
    form.files.setdefault(name, []).append(blob)
    form.uploads.append(FormFile(name, part.filename, blob))


def _unexpected(name: str, kinds: Mapping[str, MediaKind | None]) -> InvalidRequest:
    allowed = ", ".join(map(repr, sorted(kinds)))
    return InvalidRequest(
        f"unexpected file in the field {name[:100]!r}",
        remedy=f"files go into {allowed}",
        param=name[:100],
    )


def _text(part: FormPart) -> str:
    charset = parameters(part.headers.get(b"content-type", b"")).get("charset", "utf-8").lower()
    if charset not in CHARSETS:
        raise InvalidRequest(
            f"the text is in {charset[:40]!r}", remedy="send UTF-8", param=part.name[:100]
        )
    try:
        return part.text.decode(charset)
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"the text is not valid {charset.upper()}", param=part.name[:100]
        ) from None


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _boundary(request: Request) -> bytes:
    header = request.headers.get("content-type", "").encode("latin-1")
    boundary = parameters(header).get("boundary", "")
    if not boundary:
        raise InvalidRequest(
            "the multipart content type names no boundary",
            remedy="leave the header to the HTTP library",
        )
    return boundary.encode()
