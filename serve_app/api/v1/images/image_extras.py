"""What a request for images lays beside the model: LoRAs and reference images."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from serve_app.api.context import Context
from serve_app.api.profile_objects import get_profiles
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import Media, Number, Text
from serve_app.core.errors import InvalidRequest, NotFound
from serve_app.core.image.attachments import Lora
from serve_app.core.media import Blob
from serve_app.profiles.profile import Kind

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
REGISTERED = "name:"
STORED = "sha256:"
MAX_WEIGHT = 10.0
SOURCES = frozenset({"id", "file", "data", "url", "model", "path"})

Name = Annotated[Text, Field(min_length=1, max_length=500)]


class LoraBody(WireObject):
    """A LoRA: the first of these fields that is set; `name` is a name that the client chooses."""

    model_config = ConfigDict(extra="allow")

    id: Name | None = None
    file: Media | None = None
    data: Media | None = None
    url: Media | None = None
    model: Name | None = None
    path: Name | None = None
    weight: Annotated[Number, Field(strict=True, ge=-MAX_WEIGHT, le=MAX_WEIGHT)] | None = None
    name: Text | None = None

    async def to_lora(self, context: Context, param: str) -> Lora:
        """The LoRA, uploads stored. InvalidRequest when none is named in a way that is known."""
        weight = 1.0 if self.weight is None else self.weight
        media = self.file or self.data or self.url
        if self.id is not None:
            return await self._by_id(context, param, weight)
        if media is not None:
            return Lora(file=await _stored_file(context, media, param), weight=weight)
        if self.model is not None and not self.model.startswith(("/", "~", ".")):
            if HUB_ID.fullmatch(self.model):
                return Lora(source=self.model, weight=weight)
            return Lora(registered=self.model, weight=weight)
        if path := self.model or self.path:
            return Lora(file=await _stored_file(context, f"file://{path}", param), weight=weight)
        raise InvalidRequest(
            "no LoRA is named",
            remedy="set 'id', 'file', 'data', 'url', 'model' or 'path'",
            param=param,
        )

    async def _by_id(self, context: Context, param: str, weight: float) -> Lora:
        assert self.id is not None
        if self.id.startswith(REGISTERED):
            return Lora(registered=self.id.removeprefix(REGISTERED), weight=weight)
        if self.id.startswith(STORED):
            return Lora(file=await _stored_file(context, self.id, param), weight=weight)
        raise InvalidRequest(
            f"{self.id[:100]!r} is neither 'name:<registered>' nor 'sha256:<hex>'",
            param=param,
        )


def with_uploaded(listed: Any, files: Sequence[str]) -> Any:
    """The `loras` of a form with the files that were sent along: an entry that names no LoRA takes
    the next file, and every file that is left is an entry.
    """
    if not isinstance(listed, list):
        return listed
    left = [{"id": name} for name in files]
    filled = []
    for entry in listed:
        is_open = isinstance(entry, dict) and all(entry.get(name) is None for name in SOURCES)
        filled.append(entry | left.pop(0) if is_open and left else entry)
    return [*filled, *left]


async def profile_images(context: Context, kind: Kind, names: list[str] | None) -> list[Blob]:
    """The images of saved profiles. NotFound for those that do not exist."""
    profiles = await get_profiles(context)
    found = [await profiles.get(kind, name, param=f"{kind}_profiles") for name in names or ()]
    return [item.blob for profile in found for item in profile.of("image")]


async def _stored_file(context: Context, value: str, param: str) -> Blob:
    try:
        return await context.intake.take(value, param=param)
    except (InvalidRequest, NotFound) as error:
        raise InvalidRequest(error.problem, remedy=error.remedy, param=param) from None
