"""The parts of a multipart form as a parser finds them, and which of them are files."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

from serve_app.api.disposition import parameters
from serve_app.core.errors import InvalidRequest

TEXT_BYTES = 1024 * 1024
MEDIA = (b"image/", b"audio/", b"video/", b"application/octet-stream")
NUMBERED = re.compile(r"\[\d{0,4}\]\Z")
EventName = Literal["begin", "data", "end", "text"]


@dataclass
class FormPart:
    """The part under way; `text` is filled for parts that are not known to be files. One that
    `may_be_file` has no file name, but a field that takes files: its bytes tell. One with an empty
    file name is a file that was not chosen, unless bytes come.
    """

    name: str = ""
    filename: str | None = None
    is_file: bool = False
    may_be_file: bool = False
    may_be_nothing: bool = False
    headers: dict[bytes, bytes] = field(default_factory=dict)
    text: bytearray = field(default_factory=bytearray)


class FormCollector:
    """The parser's callbacks, turned into events that are fetched after each chunk; `file_fields`
    are those that take files.
    """

    def __init__(self, file_fields: Collection[str]) -> None:
        self.events: list[tuple[EventName, FormPart, bytes]] = []
        self._file_fields = file_fields
        self.has_ended = False
        self._part = FormPart()
        self._name = b""
        self._value = b""

    def callbacks(self) -> dict[str, Callable[..., None]]:
        """What python-multipart calls, by its names."""
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._part = FormPart()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._part.headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        part = self._part
        options = parameters(part.headers.get(b"content-disposition", b""))
        if "name" not in options:
            raise InvalidRequest("a part of the form has no name")
        part.name = plain_name(options["name"])
        part.filename = filename = options.get("filename")
        part.may_be_nothing = filename == ""
        part.may_be_file = filename is None and part.name in self._file_fields
        kind = part.headers.get(b"content-type", b"").strip().lower()
        if filename or (part.may_be_file and kind.startswith(MEDIA)):
            self._begin_file(part)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.may_be_nothing and not part.is_file:
            self._begin_file(part)
        if part.is_file:
            self.events.append(("data", part, data[start:end]))
            return
        part.text += data[start:end]
        if len(part.text) > TEXT_BYTES and not self._is_found_to_be_file(part):
            raise InvalidRequest(
                f"the text field has more than {TEXT_BYTES} bytes",
                param=part.name[:100],
            )

    def _part_end(self) -> None:
        part = self._part
        if part.is_file or self._is_found_to_be_file(part):
            self.events.append(("end", part, b""))
        elif not part.may_be_nothing:
            self.events.append(("text", part, b""))

    def _end(self) -> None:
        self.has_ended = True

    def _begin_file(self, part: FormPart) -> None:
        part.is_file = True
        self.events.append(("begin", part, b""))

    def _is_found_to_be_file(self, part: FormPart) -> bool:
        if not part.may_be_file or is_text(part.text):
            return False
        self._begin_file(part)
        self.events.append(("data", part, bytes(part.text)))
        part.text.clear()
        return True


def plain_name(name: str) -> str:
    """A field's name without the brackets by which some libraries repeat it."""
    brackets = NUMBERED.search(name)
    return name[: brackets.start()] if brackets else name


def is_text(data: bytes | bytearray) -> bool:
    """Whether this is UTF-8 as texts have it, its last character perhaps cut off."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        is_cut_off = error.reason == "unexpected end of data"
        return is_cut_off and b"\0" not in data
    return b"\0" not in data
