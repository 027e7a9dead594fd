"""Multipart forms read as a stream: files go straight into the blob store, never to memory."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from serve_app.api.body_limit import streams_body
from serve_app.blobs.intake import MediaIntake
from serve_app.core.errors import Cancelled, InvalidRequest
from serve_app.core.media import Blob, MediaKind

TEXT_BYTES = 1024 * 1024
PARTS = 200


@dataclass
class Form:
    """The text fields, repeated names in order, and the stored files by field name."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[Blob]] = field(default_factory=dict)

    def said(self, *, free: Collection[str] = ()) -> dict[str, list[str]]:
        """The text fields by their plain names, without those that say nothing: blank ones and,
        because browsers' `FormData` makes it of null, `null`; in `free` text that is a word.
        """
        said: dict[str, list[str]] = {}
        for name, texts in self.fields.items():
            plain = name.removesuffix("[]")
            nothing = ("",) if plain in free else ("", "null")
            if given := [text for text in texts if text not in nothing]:
                said.setdefault(plain, []).extend(given)
        return said


@dataclass
class Part:
    """The part under way; `text` is filled for parts that are no files."""

    name: str = ""
    is_file: bool = False
    headers: dict[bytes, bytes] = field(default_factory=dict)
    text: bytearray = field(default_factory=bytearray)


async def read_form(
    request: Request,
    *,
    intake: MediaIntake,
    file_fields: Collection[str],
    kind: MediaKind | None = None,
    other_fields: Collection[str] = (),
) -> Form:
    """Read a multipart body. Parts named in `file_fields`, whose files are of the `kind`, or in
    `other_fields` that carry a file name are stored; all others are text of at most 1 MiB each. A
    body has at most 200 parts.

    Raises InvalidRequest for a malformed body or a file in an unexpected field, and what the
    intake raises; a client that leaves is Cancelled and leaves no half-written file.
    """
    form = Form()
    streams_body(request)
    events = _Events(request)
    parts = 0
    try:
        async for name, part in events:
            parts += 1
            if parts > PARTS:
                raise InvalidRequest(f"more than {PARTS} form fields", param=part.name[:100])
            if name == "file":
                kinds = dict.fromkeys(other_fields) | dict.fromkeys(file_fields, kind)
                await _store(part, events, form, intake, kinds)
            else:
                form.fields.setdefault(part.name, []).append(_text(part))
    finally:
        await events.aclose()
    return form


class _Collector:
    """The parser's callbacks, turned into events that are fetched after each chunk."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Part, bytes]] = []
        self.has_ended = False
        self._part = Part()
        self._header_name = b""
        self._header_value = b""

    def on_part_begin(self) -> None:
        self._part = Part()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        self._part.headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def on_headers_finished(self) -> None:
        disposition = self._part.headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise InvalidRequest("a part of the form has no name")
        self._part.name = options[b"name"].decode("utf-8", "replace")
        self._part.is_file = b"filename" in options
        if self._part.is_file:
            self.events.append(("begin", self._part, b""))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_file:
            self.events.append(("data", self._part, data[start:end]))
            return
        self._part.text += data[start:end]
        if len(self._part.text) > TEXT_BYTES:
            raise InvalidRequest(
                f"{self._part.name[:100]}: a text field of over {TEXT_BYTES} bytes",
                param=self._part.name[:100],
            )

    def on_part_end(self) -> None:
        self.events.append(("end" if self._part.is_file else "text", self._part, b""))

    def on_end(self) -> None:
        self.has_ended = True


class _Events(AsyncIterator[tuple[str, Part]]):
    """The parts in order; the data of a file must be read with `data` before the next part."""

    def __init__(self, request: Request) -> None:
        self._collector = _Collector()
        names = ("part_begin", "part_data", "part_end", "header_field", "header_value")
        callbacks = {
            f"on_{name}": getattr(self._collector, f"on_{name}")
            for name in (*names, "header_end", "headers_finished", "end")
        }
        self._parser = MultipartParser(_boundary(request), callbacks)  # type: ignore[arg-type]
        self._chunks = request.stream()

    async def __anext__(self) -> tuple[str, Part]:
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

    async def _next(self) -> tuple[str, Part, bytes] | None:
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
                raise Cancelled("the client left while it sent the body") from error
        return self._collector.events.pop(0)

    def _check_end(self) -> None:
        if not self._collector.has_ended:
            raise InvalidRequest("the multipart body ends too early")


async def _store(
    part: Part,
    events: _Events,
    form: Form,
    intake: MediaIntake,
    kinds: Mapping[str, MediaKind | None],
) -> None:
    name = part.name.removesuffix("[]")
    if name not in kinds:
        allowed = ", ".join(map(repr, sorted(kinds)))
        raise InvalidRequest(
            f"unexpected file in the field {part.name[:100]!r}; files go into {allowed}",
            param=part.name[:100],
        )
    blob = await intake.take_upload(events.data(), param=name, kind=kinds[name])
    form.files.setdefault(name, []).append(blob)


def _text(part: Part) -> str:
    try:
        return part.text.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"{part.name[:100]}: the text is not UTF-8", param=part.name[:100]
        ) from None


def _boundary(request: Request) -> bytes:
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise InvalidRequest("the multipart content type names no boundary")
    return boundary
