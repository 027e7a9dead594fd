"""Where generated files are: in the store, and for clients below the server's address."""

from dataclasses import dataclass

from serve_app.blobs.store import FsspecBlobStore

FILES = "/v1/files"
"""Where the files of every dialect are downloaded."""


@dataclass(frozen=True)
class ServedFiles:
    """`root` stands before paths: the server's public URL, or nothing."""

    root: str
    blobs: FsspecBlobStore

    def url(self, name: str) -> str:
        """Absolute when the server knows its public address, else from its root."""
        return f"{self.root}{FILES}/{name}"
