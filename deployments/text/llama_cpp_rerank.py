"""Reranking by llama.cpp, with cross-encoders in GGUF form."""

import asyncio
import math
from pathlib import Path

from deployments.model_engine import ModelEngine
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.media import BlobStore
from serve_app.core.options.text import LlamaCppOptions
from serve_app.core.text.rerank import Relevance, Rerank

SCORES = 4
"""The pooling of models that score a pair."""


class LlamaCppRerank(ModelEngine[LlamaCppOptions]):
    """A RerankModel over a GGUF file."""

    requires = ("xllamacpp",)

    def __init__(
        self, options: LlamaCppOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        from deployments.text.llama_cpp.files import weights_file
        from deployments.text.llama_cpp.gguf_file import read_gguf
        from deployments.text.llama_cpp.server import LlamaServer

        file = read_gguf(weights_file(model, path, options))
        if file.own("pooling_type") != SCORES:
            raise BackendUnavailable(
                f"{file.path.name!r} is no reranker",
                remedy="name a cross-encoder that was converted with its classifier",
            )
        self._server = LlamaServer(options, model, path)
        self.context_length: int | None = self._server.context_length

    async def close(self) -> None:
        """Let go of the weights."""
        await asyncio.to_thread(self._server.close)

    async def rerank(self, request: Rerank) -> Relevance:
        """One score per document, in the order given; documents that are too long are cut."""
        limit = min(request.max_length or self._server.context_length, self._server.context_length)
        documents = await asyncio.to_thread(self._cut, request, limit)
        body = {"query": request.query, "documents": documents}
        running = self._server.running
        answer = await self._server.asked(running.handle_rerank, body, param="documents")
        results = sorted(answer["results"], key=lambda entry: entry["index"])
        return Relevance(
            scores=tuple(1 / (1 + math.exp(-entry["relevance_score"])) for entry in results),
            prompt_tokens=answer["usage"]["prompt_tokens"],
        )

    def _cut(self, request: Rerank, limit: int) -> list[str]:
        """Documents of which each fits beside the query and four marks. Blocks."""
        query = len(self._server.ask("/tokenize", {"content": request.query})["tokens"])
        room = max(1, limit - query - 4)
        cut = []
        for document in request.documents:
            tokens = self._server.ask("/tokenize", {"content": document})["tokens"]
            if len(tokens) > room:
                document = self._server.ask("/detokenize", {"tokens": tokens[:room]})["content"]
            cut.append(document)
        return cut
