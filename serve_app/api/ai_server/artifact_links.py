"""The addresses of generated files, `/artifacts/{yyyy}/{MM}/{dd}/{key}/{sha256}.{ext}`."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from starlette.requests import Request

from serve_app.api.answers import AnswerOutput
from serve_app.api.context import Context
from serve_app.blobs.sniff import ALSO_NAMED, extension_of
from serve_app.core.jobs import Job
from serve_app.core.media import Blob
from serve_app.core.notices import Notice

ARTIFACTS = "/artifacts"
INPUT = "input"
HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]{1,100}){0,10}")
PLACE = re.compile(
    r"(input/)?([0-9]{4})/([0-9]{2})/([0-9]{2})/([0-9]{1,19})/([0-9a-f]{64})\.([a-z0-9]{1,8})"
)


class ServiceOutput(AnswerOutput):
    """What the answer needs beside the result: the server's address as the caller knows it, the
    number of the caller's token, the name of an uploaded file, what the callback gives back, and
    what was known before the job began to be done otherwise than it was asked for.
    """

    base: str = ""
    key: int = 0
    stem: str | None = None
    state: str | None = None
    notices: tuple[Notice, ...] | None = None

    @classmethod
    def of(cls, job: Job, dialect: str) -> Self:
        """That of a job, which another dialect may have made."""
        return cls.read(job.output if job.dialect == dialect else {})


class ArtifactPlace(NamedTuple):
    """What an address names. `after` and `before` are unix seconds between which it was made."""

    is_input: bool
    name: str
    sha256: str
    after: float
    before: float

    def is_of(self, blob: Blob) -> bool:
        """Whether the blob has the extension that is asked for."""
        extension = self.name.rpartition(".")[2]
        return extension_of(blob.mime) in (extension, ALSO_NAMED.get(extension))


def base_of(request: Request, context: Context) -> str:
    """The address of the server: the configured one, else that by which it is asked. Nothing where
    the caller gives no sane one.
    """
    if context.config.server.public_url is not None:
        return context.config.server.public_url
    peer = request.client.host if request.client else None
    caller = context.access.caller(request.headers, peer, scheme=request.url.scheme)
    if HOST.fullmatch(caller.host) is None:
        return ""
    prefix = caller.prefix if PREFIX.fullmatch(caller.prefix) else ""
    return f"{caller.scheme}://{caller.host}{prefix}"


def artifact_path(blob: Blob, *, made_at: float, key: int, extension: str | None = None) -> str:
    """That of a file that was made then (unix seconds)."""
    day = datetime.fromtimestamp(made_at, UTC).strftime("%Y/%m/%d")
    return f"{ARTIFACTS}/{day}/{key}/{blob.sha256}.{extension or extension_of(blob.mime)}"


def place_of(path: str) -> ArtifactPlace | None:
    """What a path names, with or without the folder before it; None for one that is none."""
    path = path.lstrip("/").removeprefix(f"{ARTIFACTS[1:]}/")
    found = PLACE.fullmatch(path)
    if found is None:
        return None
    try:
        day = datetime(int(found[2]), int(found[3]), int(found[4]), tzinfo=UTC)
        # A file is entered in the archive before its job ends, which may be on the next day.
        after, before = day - timedelta(days=1), day + timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    name = f"{found[6]}.{found[7]}"
    return ArtifactPlace(bool(found[1]), name, found[6], after.timestamp(), before.timestamp())
