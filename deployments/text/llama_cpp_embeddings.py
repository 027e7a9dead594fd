"""Embeddings by llama.cpp."""

import array
import asyncio
import math
import sys
from pathlib import Path
from typing import Any

from deployments.model_engine import ModelEngine
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.options.text import LlamaCppOptions
from serve_app.core.text.embeddings import Embed, Embeddings


class LlamaCppEmbeddings(ModelEngine[LlamaCppOptions]):
    """An EmbeddingModel over a GGUF file."""

    requires = ("xllamacpp",)

    def __init__(
        self, options: LlamaCppOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        from deployments.text.llama_cpp.server import LlamaServer

        self._server = LlamaServer(options, model, path)
        self.context_length: int | None = self._server.context_length
        self._width = int(self._server.file.own("embedding_length") or 0)

    async def close(self) -> None:
        """Let go of the weights."""
        await asyncio.to_thread(self._server.close)

    async def embed(self, request: Embed) -> Embeddings:
        """As EmbeddingModel says; an empty text is a space, since no text has no tokens."""
        if request.images:
            raise UnsupportedCapability(f"model {self.model.id!r} embeds text only", param="images")
        if request.dimensions is not None and request.dimensions > self._width:
            raise InvalidRequest(
                f"{request.dimensions} dimensions are more than the {self._width} "
                f"of model {self.model.id!r}",
                param="dimensions",
            )
        texts = [text if isinstance(text, str) else list(text) for text in request.texts]
        body = {"input": [text or " " for text in texts]}
        running = self._server.running
        answer = await self._server.asked(running.handle_embeddings, body, param="texts")
        data = sorted(answer["data"], key=lambda entry: entry["index"])
        size = request.dimensions or self._width
        return Embeddings(
            vectors=tuple(_packed(entry["embedding"], size) for entry in data),
            dimensions=size,
            prompt_tokens=answer["usage"]["prompt_tokens"],
        )


def _packed(values: list[Any], size: int) -> bytes:
    """Little-endian float32, of length one again after it was cut."""
    kept = values[:size]
    length = math.sqrt(sum(value * value for value in kept)) or 1.0
    packed = array.array("f", (value / length for value in kept))
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()
