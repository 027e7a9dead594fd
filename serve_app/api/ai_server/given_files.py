"""The files of a call, by the fields that an operation has for them."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

from serve_app.api.ai_server.arguments import FILE_FIELDS, Arguments
from serve_app.api.ai_server.scalars import folded, single
from serve_app.api.ai_server.service_body import pascal
from serve_app.api.ai_server.service_error import FieldProblem, ServiceError
from serve_app.api.call import Call
from serve_app.api.multipart import FormFile
from serve_app.blobs.intake import checked
from serve_app.blobs.store import ObservedStore
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import Blob, MediaKind

UNSAFE = re.compile(r'[\x00-\x1f\x7f"\\/:*?<>|]')
STEM_CHARACTERS = 150
KINDS: dict[str, MediaKind] = {
    "image": "image",
    "mask": "image",
    "watermark": "image",
    "video": "video",
    "audio": "audio",
}


class GivenFiles:
    """The files that fill `fields`: by the names of their parts, and those of other names in the
    order of the fields that are left. A field may be a text, too, that names a medium.
    """

    def __init__(self, call: Call, fields: Sequence[str], arguments: Arguments) -> None:
        self._call = call
        self._arguments = arguments
        self._files: dict[str, FormFile] = {}
        others = dict[str, FormFile]()
        for file in arguments.files:
            name = folded(file.field)
            (self._files if name in fields else others)[name] = file
        strays = iter(others.values())
        for name in fields:
            if name in self._files or self._text(name):
                continue
            if (stray := next(strays, None)) is not None:
                self._files[name] = stray
        self.count = len(arguments.files)

    async def take(self, name: str, absent: ServiceError) -> Blob:
        """The file of a field, of the right kind; `absent` where there is none."""
        own = pascal(name)
        if (file := self._files.get(name)) is not None:
            try:
                return checked(file.blob, param=own, kind=KINDS[name])
            except InvalidRequest as error:
                problem = FieldProblem(error.code, own, error.message)
                raise ServiceError(error.message, problems=[problem]) from None
        if text := self._text(name):
            return await self._call.context.intake.take(text, param=own, kind=KINDS[name])
        raise absent

    def stem(self, name: str) -> str | None:
        """What the caller calls the file of a field, without its folder and its extension."""
        file = self._files.get(name)
        if file is None or not file.filename:
            return None
        last = PurePosixPath(PureWindowsPath(file.filename).name).stem
        return UNSAFE.sub("_", last)[:STEM_CHARACTERS].strip(" .") or None

    async def keep(self) -> None:
        """Keep what was uploaded for its owner. PayloadTooLarge over the quota."""
        context, owner = self._call.context, self._call.principal.owner
        for file in self._files.values():
            store = ObservedStore(context.blobs.url)
            await context.uploads.keep(file.blob, store, owner=owner, param=pascal(file.field))

    def _text(self, name: str) -> str | None:
        assert name in FILE_FIELDS
        values = map(single, self._arguments.find(name))
        texts = (value for value in values if isinstance(value, str))
        return next((text for text in texts if text.strip()), None)
