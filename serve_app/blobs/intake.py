"""`MediaIntake`: every form in which a caller may give a medium, turned into a stored blob."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterator
from copy import copy
from itertools import chain
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from serve_app.blobs.fetch import fetch
from serve_app.blobs.inline_text import (
    IncompleteBase64,
    NotBase64,
    NotStorable,
    beginning,
    decoded,
    text_pieces,
    unquoted,
)
from serve_app.blobs.sniff import kind_of
from serve_app.blobs.spooled_text import spooled, spooled_pieces
from serve_app.blobs.store import FILES, FsspecBlobStore
from serve_app.core.errors import InvalidRequest, NotFound, PayloadTooLarge
from serve_app.core.image.image_files import unread
from serve_app.core.media import Blob, MediaKind
from serve_app.core.settings import Limits
from serve_app.database.text import is_storable

OWN_PATH = re.compile(r"(/[^?#]*)(?:\?[^#]*)?")
WHOLE_URL = re.compile(r"https?://([^/?#]+)(/.*)", re.IGNORECASE)
STORED = re.compile(r"sha256:([0-9a-fA-F]{64})")
LONGEST_NAME = 64 * 1024
"""Characters of what names a medium; what is longer can only be one."""
LONGEST_PATH = 4096
FindArchived = Callable[[str], Awaitable[Blob | None]]
"""The blob behind the name of a generated file."""
FileName = Callable[[str], str | None]
"""The name of the file that is downloaded from a path of the server's own, None for others."""
NoteUse = Callable[[Blob], None]
"""Called with every stored file that a caller names."""


def native_file_name(path: str) -> str | None:
    """Of a path of the native dialect."""
    folder, _, name = path.rpartition("/")
    return name if folder == FILES else None


class MediaIntake:
    """Stores what callers send and checks that it is the kind of medium that was asked for."""

    def __init__(
        self,
        store: FsspecBlobStore,
        limits: Limits,
        *,
        public_url: str | None = None,
        find_archived: FindArchived | None = None,
        note_use: NoteUse | None = None,
        file_name: FileName = native_file_name,
        host: str | None = None,
    ) -> None:
        self._store = store
        self._find_archived = find_archived
        self._note_use = note_use
        self._file_name = file_name
        self._limits = limits
        self._public_url = public_url
        self._host = host

    def into(self, store: FsspecBlobStore) -> Self:
        """The same intake over another store."""
        other = copy(self)
        other._store = store
        return other

    def at(self, host: str | None) -> Self:
        """The same intake for a caller who reached the server under this `Host`: below it lie own
        files. Whoever makes a host up gains nothing, because the path alone names the same file.
        """
        other = copy(self)
        other._host = host
        return other

    def knowing(self, file_name: FileName) -> Self:
        """The same intake, which knows by `file_name` from which paths own files are downloaded."""
        other = copy(self)
        other._file_name = file_name
        return other

    async def take(self, value: str, *, param: str, kind: MediaKind | None = None) -> Blob:
        """The blob behind an http(s) URL, a URL of an own file, a data URL, base64,
        `sha256:<hex>`, or a path below one of `limits.file_roots`.

        Raises InvalidRequest with `param` for what cannot be had or is of another kind, NotFound
        for an own file that does not exist, PayloadTooLarge over the limits.
        """
        try:
            blob = await self._blob_of(value, param)
        except NotStorable:
            raise InvalidRequest("the text contains NUL or a lone surrogate", param=param) from None
        except NotBase64:
            raise InvalidRequest(
                "this is neither a URL, a data URL, base64 nor 'sha256:<hex>'", param=param
            ) from None
        except IncompleteBase64:
            raise InvalidRequest("the base64 is incomplete", param=param) from None
        return checked(blob, param=param, kind=kind)

    async def take_upload(
        self, chunks: AsyncIterable[bytes], *, param: str, kind: MediaKind | None = None
    ) -> Blob:
        """The blob of an uploaded body or part, stored while it comes."""
        try:
            blob = await self._store.write(chunks, limit=self._limits.upload_bytes)
        except PayloadTooLarge as error:
            raise PayloadTooLarge(error.problem, remedy=error.remedy, param=param) from None
        return checked(blob, param=param, kind=kind)

    async def _blob_of(self, value: str, param: str) -> Blob:
        if (file := spooled(value)) is not None:
            return await self._long(spooled_pieces(file), param)
        if len(value) > LONGEST_NAME:
            return await self._long(text_pieces(value), param)
        if not is_storable(value):
            raise NotStorable
        return await self._referenced(value.strip(), param)

    async def _referenced(self, value: str, param: str) -> Blob:
        if stored := STORED.fullmatch(value):
            return await self._stored(stored[1].lower(), param)
        if name := self._own_file(value):
            return await self._own(name, param)
        scheme = value[:8].lower()
        if scheme.startswith(("http://", "https://")):
            return await fetch(value, self._store, limits=self._limits, param=param)
        if scheme.startswith("data:"):
            return await self._long(text_pieces(value), param)
        if scheme.startswith("file:"):
            return await self._local(unquote(urlsplit(value).path), param)
        if path := await asyncio.to_thread(_below, value, self._limits.file_roots):
            return await self._store.write_file(path)
        return await self._write(decoded(text_pieces(value)), param)

    async def _long(self, pieces: Iterator[bytes], param: str) -> Blob:
        """A data URL or base64, of which no copy is made."""
        begun = await asyncio.to_thread(beginning, pieces)
        scheme = begun[:8].lower()
        if scheme.startswith((b"http://", b"https://")):
            raise InvalidRequest(f"the URL has more than {LONGEST_NAME} characters", param=param)
        if not scheme.startswith(b"data:"):
            return await self._write(decoded(chain((begun,), pieces)), param)
        header, comma, rest = begun.partition(b",")
        if not comma:
            raise InvalidRequest("the data URL has no comma", param=param)
        payload = unquoted(chain((rest,), pieces))
        is_base64 = header.lower().rstrip().endswith(b";base64")
        return await self._write(decoded(payload) if is_base64 else payload, param)

    def _own_file(self, value: str) -> str | None:
        if self._public_url and value.startswith(self._public_url + "/"):
            value = value[len(self._public_url) :]
        elif self._host and (whole := WHOLE_URL.fullmatch(value)):
            value = whole[2] if whole[1].lower() == self._host.lower() else value
        match = OWN_PATH.fullmatch(value)
        name = self._file_name(match[1]) if match else None
        return unquote(name) if name else None

    async def _stored(self, sha256: str, param: str) -> Blob:
        blob = await self._store.find(sha256)
        if blob is None:
            raise NotFound(f"no stored file has the hash {sha256!r}", param=param)
        return self._used(blob)

    async def _own(self, name: str, param: str) -> Blob:
        blob = await self._store.find_file(name)
        if blob is None and self._find_archived is not None:
            blob = await self._find_archived(name)
        if blob is None:
            raise NotFound(f"no stored file is named {name[:100]!r}", param=param)
        return self._used(blob)

    def _used(self, blob: Blob) -> Blob:
        if self._note_use is not None:
            self._note_use(blob)
        return blob

    async def _write(self, pieces: Iterator[bytes], param: str) -> Blob:
        try:
            return await self._store.write(_stream(pieces), limit=self._limits.base64_bytes)
        except PayloadTooLarge as error:
            raise PayloadTooLarge(error.problem, remedy=error.remedy, param=param) from None

    async def _local(self, value: str, param: str) -> Blob:
        """A file below an allowed root, after links are resolved."""
        path = await asyncio.to_thread(_below, value, self._limits.file_roots)
        if path is None:
            raise InvalidRequest(
                "local files are read only below directories that the operator listed "
                "in limits.file_roots",
                param=param,
            )
        return await self._store.write_file(path)


def checked(blob: Blob, *, param: str, kind: MediaKind | None) -> Blob:
    """The blob, unless it is empty or known to be of another kind than `kind`.

    Audio may come in a video container, so a video passes where audio is asked for.
    """
    if blob.size == 0:
        raise InvalidRequest("the file is empty", param=param)
    if kind is not None and (why := unread(blob.mime)):
        raise InvalidRequest(why, param=param)
    found = kind_of(blob.mime)
    fits = kind is None or found == kind or (kind == "audio" and found == "video")
    if not fits:
        raise InvalidRequest(
            f"expected {kind}, found {found or 'data of an unknown type'}", param=param
        )
    return blob


def _below(value: str, roots: tuple[Path, ...]) -> Path | None:
    if not roots or len(value) > LONGEST_PATH:
        return None
    try:
        path = Path(value).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None
    inside = any(path.is_relative_to(root.resolve()) for root in roots)
    return path if inside and path.is_file() else None


async def _stream(pieces: Iterator[bytes]) -> AsyncGenerator[bytes]:
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        if piece:
            yield piece
