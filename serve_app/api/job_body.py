"""The fields that make a job of a request."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field

from serve_app.api.request_body import Body
from serve_app.api.wire_types import Flag, Integer, Text
from serve_app.blobs.spooled_text import spooled
from serve_app.core.errors import InvalidRequest
from serve_app.core.jobs import KEY_HEADER, RefId
from serve_app.database.text import is_storable

PRIORITY = 100


def _is_kept(text: str) -> str:
    if not is_storable(text):
        raise ValueError("the character NUL cannot be stored")
    return text


def is_short_name(name: str) -> str:
    """The name, unless it stands in for a long text, which would pass for one."""
    if spooled(name) is not None:
        raise ValueError("string should have at most 128 characters")
    return name


Label = Annotated[Text, Field(max_length=200), AfterValidator(_is_kept)]


class JobBody(Body):
    """The fields that every operation accepts. A higher `priority` starts first."""

    wants_async: Flag | None = Field(default=None, validation_alias="async")
    callback_url: Text | None = Field(default=None, min_length=1, max_length=4096)
    ref_id: Annotated[RefId, Field(strict=True), AfterValidator(is_short_name)] | None = Field(
        default=None, validation_alias=AliasChoices("ref_id", "refId")
    )
    tag: Label | None = None
    priority: Annotated[Integer, Field(ge=-PRIORITY, le=PRIORITY)] | None = None

    def is_async(self, headers: Mapping[str, str]) -> bool:
        """Whether the caller does not wait."""
        return bool(self.wants_async) or prefers_async(headers)

    def needs_job(self, headers: Mapping[str, str]) -> bool:
        """Whether a text operation, which is bound to its connection, has to be durable."""
        is_named = bool(self.ref_id) or KEY_HEADER in headers
        return self.is_async(headers) or is_named or bool(self.callback_url)

    def refuse_job(self, headers: Mapping[str, str]) -> None:
        """InvalidRequest when an answer that is no job's is asked to be one, naming the field."""
        requested = {
            "async": self.is_async(headers),
            "ref_id": self.ref_id,
            "callback_url": self.callback_url,
        }
        for name in (name for name, value in requested.items() if value):
            raise InvalidRequest(
                "a streamed answer, or one with several parts, cannot be a job",
                remedy="leave out 'async', 'Prefer: respond-async', 'ref_id' and 'callback_url'",
                param=name,
            )


def prefers_async(headers: Mapping[str, str]) -> bool:
    """`Prefer: respond-async`, among other preferences."""
    preferences = headers.get("prefer", "").lower().split(",")
    return any(
        preference.partition(";")[0].strip() == "respond-async" for preference in preferences
    )
