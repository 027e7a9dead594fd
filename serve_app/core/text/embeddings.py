"""Vectors for text and images."""

from typing import Protocol

from serve_app.core.engine import Engine
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.operation import Operation


class Embeddings(Message):
    """One L2-normalised little-endian float32 vector per input, each `dimensions` long."""

    vectors: tuple[bytes, ...]
    dimensions: int
    prompt_tokens: int


class Embed(Operation[Embeddings]):
    """Embed `texts` (strings or token ids), then `images`; vectors come in that order.

    `dimensions` truncates and re-normalises. At least one input is present.
    """

    name, task, verb = "embed", "embeddings", "embed"
    answers_once = True

    model: str
    texts: tuple[str | tuple[int, ...], ...] = ()
    images: tuple[Blob, ...] = ()
    dimensions: int | None = None


class EmbeddingModel(Engine, Protocol):
    """Turns inputs into vectors."""

    async def embed(self, request: Embed) -> Embeddings:
        """Raises UnsupportedCapability for images a text model gets, InvalidRequest with `param`
        `dimensions` above the native size, ContextLengthExceeded for an input that is too long.
        """
        ...
