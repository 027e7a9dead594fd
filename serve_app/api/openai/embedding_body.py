"""The body of an embedding request."""

from typing import Annotated, Any, Literal

from pydantic import Field

from serve_app.api.job_body import JobBody
from serve_app.api.wire_types import Integer, Media, Text, TokenId
from serve_app.core.bounds import MAX_EMBEDDED
from serve_app.core.errors import InvalidRequest
from serve_app.core.quantization import Quantization


class EmbeddingBody(JobBody):
    """Texts or token ids, and images if the model accepts them."""

    model: Text = Field(min_length=1, max_length=500)
    input: (
        Text
        | Annotated[list[Text], Field(max_length=MAX_EMBEDDED)]
        | list[TokenId]
        | Annotated[list[list[TokenId]], Field(max_length=MAX_EMBEDDED)]
        | None
    ) = None
    image: Media | Annotated[list[Media], Field(max_length=MAX_EMBEDDED)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[Integer, Field(ge=1, le=1_000_000)] | None = None
    quantization: Quantization | None = None
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        return self.sent("user")

    def texts(self) -> tuple[str | tuple[int, ...], ...]:
        """The inputs in order. InvalidRequest for an empty one."""
        value: Any = self.input
        if value is None:
            return ()
        if value == "":
            raise InvalidRequest("the input must not be empty", param="input")
        if isinstance(value, str) or (value and isinstance(value[0], int)):
            value = [value]
        for i, item in enumerate(value):
            if len(item) == 0:
                raise InvalidRequest("the input must not be empty", param=f"input[{i}]")
        return tuple(item if isinstance(item, str) else tuple(item) for item in value)

    def images(self) -> list[str]:
        """The images in order."""
        return [self.image] if isinstance(self.image, str) else self.image or []
