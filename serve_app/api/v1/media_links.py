"""Generated files in answers: where they are, or what is in them."""

from collections.abc import Mapping
from typing import Any

from serve_app.api.answers import AnswerOutput, Finished
from serve_app.api.json_answer import StoredBase64
from serve_app.api.served_files import ServedFiles
from serve_app.api.v1.media_output import MediaForm, MediaOutput
from serve_app.core.media import Blob
from serve_app.core.message import Message

MediaLink = str | StoredBase64 | None
"""None for a file that was deleted from the archive, which its job outlives."""


class MediaLinks:
    """The files of one answer. `names` are those of their entries in the archive by hash."""

    def __init__(self, files: ServedFiles, names: Mapping[str, str]) -> None:
        self._files = files
        self._names = names

    def url(self, blob: Blob) -> str:
        """Absolute when the server knows its public address, else from its root."""
        return self._files.blob_url(blob, self._names)

    async def item(self, blob: Blob, form: MediaForm) -> dict[str, Any]:
        """One item of an envelope, with exactly one of `url` and a base64 key."""
        return {form: self.url(blob) if form == "url" else await self.base64(blob)}

    async def link(self, blob: Blob, form: MediaForm) -> MediaLink:
        """The URL, or a data URL where base64 was asked for."""
        if form == "url":
            return self.url(blob)
        return await self.base64(blob, prefix=f"data:{blob.mime};base64,")

    async def base64(self, blob: Blob, *, prefix: str = "") -> StoredBase64 | None:
        """What is in the file."""
        if not await self._files.blobs.has(blob):
            return None
        return StoredBase64(self._files.blobs, blob, prefix=prefix)


def links_of(finished: Finished[Message, Message, AnswerOutput]) -> MediaLinks:
    """Those of a job's files."""
    return MediaLinks(finished.files, finished.job.files)


async def media_item(
    finished: Finished[Message, Message, MediaOutput], blob: Blob
) -> dict[str, Any]:
    """One item of the job's envelope, in the form asked for."""
    return await links_of(finished).item(blob, finished.output.response_format)


async def media_link(finished: Finished[Message, Message, MediaOutput], blob: Blob) -> MediaLink:
    """The URL of one of the job's files, or its data URL where base64 was asked for."""
    return await links_of(finished).link(blob, finished.output.response_format)
