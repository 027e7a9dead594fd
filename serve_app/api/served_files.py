"""The URLs of stored files."""

from collections.abc import Mapping
from dataclasses import dataclass

from serve_app.blobs.store import FILES, FsspecBlobStore, filename
from serve_app.core.media import Blob


@dataclass(frozen=True)
class ServedFiles:
    """`root` stands before paths: the server's public URL, or nothing."""

    root: str
    blobs: FsspecBlobStore

    def url(self, name: str) -> str:
        """Absolute when the server knows its public address, else from its root."""
        return f"{self.root}{FILES}/{name}"

    def blob_url(self, blob: Blob, names: Mapping[str, str]) -> str:
        """That of a blob. `names` are those of entries in the archive by hash, so that deleting an
        entry ends its URL; a file without an entry has the URL of its bytes.
        """
        return self.url(names.get(blob.sha256) or filename(blob))
