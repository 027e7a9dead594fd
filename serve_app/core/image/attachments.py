"""What a request for images lays beside a model: LoRAs and reference images."""

from pydantic import Field

from serve_app.core.media import Blob
from serve_app.core.message import Message


class Lora(Message):
    """Low-rank weights laid over the model's own while one request runs: a stored file, or the
    name of one that the family's options list, or a repository on the hub.
    """

    file: Blob | None = None
    registered: str | None = None
    source: str | None = None
    weight: float = 1.0


class References(Message):
    """Images whose subject, not whose outlines, the result follows; `strength` from 0 to 1.
    `field` is the request's field that named them, `paths` the place in it of each, where known.
    """

    images: tuple[Blob, ...] = Field(min_length=1)
    strength: float = Field(default=0.6, ge=0, le=1)
    field: str = "references"
    paths: tuple[str, ...] = ()

    def path(self, number: int) -> str:
        """What an error calls an image."""
        return self.paths[number] if number < len(self.paths) else self.field
