"""What every typed message is: an immutable pydantic model that refuses unknown fields."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """The root of requests, results and stream items; compared by value, safe to share.

    `record_version` is raised where the fields of a stage's result stay and their meaning changes.
    """

    record_version: ClassVar[int] = 1

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )


class Progress(Message):
    """How far a long verb is. `total` is None until known; the unit is the phase's own."""

    phase: str
    current: int = 0
    total: int | None = None
