"""Media by reference: what a blob is and what a store of blobs can do."""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice

MediaKind = Literal["image", "audio", "video"]


class Blob(Message):
    """A reference to stored bytes: the SHA-256 (64 lower-case hex digits) of the content, its type
    as sniffed from the content, and its length in bytes.
    """

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    mime: str
    size: int = Field(ge=0)


class PreviewedProgress(Progress):
    """Progress with a small image of what is being made. Nobody holds its bytes: they are swept
    away some time later.
    """

    preview: Blob


class MediaFacts(Message):
    """What the maker of a file knows of it; `width` and `height` in pixels."""

    seed: int | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None


class MediaResult(Message):
    """A result that is made of files, which enter the archive. `warnings` are soft failures."""

    warnings: tuple[Notice, ...] = ()

    def facts(self) -> dict[str, MediaFacts]:
        """What is known of the files, by hash."""
        return {}


class BlobStore(Protocol):
    """Content-addressed bytes. Writing is atomic: a blob exists whole or not at all."""

    async def write(
        self,
        chunks: AsyncIterable[bytes],
        *,
        mime: str | None = None,
        limit: int | None = None,
    ) -> Blob:
        """Store a stream and return its reference; the type is sniffed when `mime` is None.

        Raises PayloadTooLarge as soon as more than `limit` bytes have come, and Unavailable when
        the store is full; nothing is left behind in either case.
        """
        ...

    async def write_file(self, path: Path, *, mime: str | None = None) -> Blob:
        """Store a local file's content. The file stays the caller's."""
        ...

    def read(self, blob: Blob, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to and without `end`, in chunks. NotFound when it is gone."""
        ...

    async def find(self, sha256: str) -> Blob | None:
        """The reference for a hash, or None."""
        ...

    def local_file(self, blob: Blob) -> AbstractAsyncContextManager[Path]:
        """The blob as a local file, for libraries that want a path; read only, within the block."""
        ...
