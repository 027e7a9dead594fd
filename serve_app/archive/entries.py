"""The archive's messages: where a file comes from, its entry, queries and settings."""

import re
import uuid
from typing import Any, Literal

from pydantic import Field

from serve_app.blobs.sniff import extension_of
from serve_app.core.bounds import INT64
from serve_app.core.media import Blob, MediaKind
from serve_app.core.message import Message
from serve_app.core.settings import Retention
from serve_app.database.schema import ArchiveRow

FILE_NAME = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,8}")
NAMES = uuid.UUID("5e3d1f0c-7d4b-4a54-9c2b-6a1f0f6f2f57")
"""The namespace of the names of a job's files."""


NO_PREVIEW = ""
"""In the database: it was tried and there cannot be one. None is: not yet."""


class Origin(Message):
    """How a file came to be. `seed`, `width`, `height` (pixels) and `duration` (seconds) as far as
    the maker knows them; sizes and length are else read from the file.
    """

    owner: str
    operation: str
    model: str | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = Field(default=None, ge=-INT64, lt=INT64)
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    tag: str | None = None
    job_id: str | None = None


class Entry(Message):
    """One archived file. `created` is a unix time, `preview` the hash of a webp, if any."""

    filename: str
    type: MediaKind
    mime: str
    size: int
    sha256: str
    created: float
    prompt: str | None
    negative_prompt: str | None
    model: str | None
    operation: str | None
    parameters: dict[str, Any]
    seed: int | None
    width: int | None
    height: int | None
    duration: float | None
    owner: str
    tag: str | None
    job_id: str | None
    preview: str | None

    @property
    def blob(self) -> Blob:
        """The bytes."""
        return Blob(sha256=self.sha256, mime=self.mime, size=self.size)


class ArchiveQuery(Message):
    """Which entries, and which of them: filters are joined by and; `q` is a part of the prompt."""

    limit: int = 1000
    offset: int = 0
    type: MediaKind | None = None
    model: str | None = None
    operation: str | None = None
    owner: str | None = None
    tag: str | None = None
    q: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    order: Literal["desc", "asc"] = "desc"


class ArchiveSettings(Message):
    """What an admin may change while the server runs."""

    enabled: bool
    retention: Retention


def new_filename(blob: Blob, job_id: str | None, position: int) -> str:
    """A name that nobody can guess. The same output of the same job has the same name, so that a
    job that is resumed records nothing twice.
    """
    name = uuid.uuid4()
    if job_id is not None:
        name = uuid.uuid5(NAMES, f"{job_id}/{position}/{blob.sha256}")
    return f"{name.hex}.{extension_of(blob.mime)}"


def entry_of(row: ArchiveRow) -> Entry:
    """The message of a row."""
    values = {name: getattr(row, name) for name in Entry.model_fields}
    values["preview"] = row.preview or None
    return Entry.model_validate(values)
