"""Reranking by an embedding model: how near the vector of each document is to that of the query."""

from pathlib import Path
from typing import TYPE_CHECKING

from deployments.model_engine import WorkerEngine
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.options.text import CosineOptions, TransformersOptions
from serve_app.core.text.rerank import Relevance, Rerank

if TYPE_CHECKING:
    from deployments.micro_batches import MicroBatches
    from deployments.text.transformers_encoder import Vector


class CosineRerank(WorkerEngine[CosineOptions]):
    """One encoder. A score is the cosine, which is -1 to 1, brought to 0 to 1."""

    def __init__(
        self, options: CosineOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        import numpy as np

        from deployments.text.transformers_encoder import TransformersEncoder

        content = options.model_dump(exclude={"engine", "task"})
        encoder_options = TransformersOptions(task="embeddings", **content)
        self._encoder = TransformersEncoder(encoder_options, model, path)
        self._texts: MicroBatches[list[int], Vector] = self.micro_batches(
            self._encoder.encode, size=len, max_size=options.max_batch_tokens
        )
        self._norm = np.linalg.norm
        self.context_length = self._encoder.limit

    async def rerank(self, request: Rerank) -> Relevance:
        """One score per document, in the order given; documents that are too long are cut."""
        tokens = await self.in_worker(lambda: self._tokens(request))
        query, *documents = await self._texts.results(tokens)
        return Relevance(
            scores=tuple(self._score(query, document) for document in documents),
            prompt_tokens=sum(map(len, tokens)),
        )

    def _tokens(self, request: Rerank) -> list[list[int]]:
        limit = self._encoder.limit
        if request.max_length is not None and limit is not None and request.max_length > limit:
            raise InvalidRequest(
                f"{request.max_length} tokens are more than the {limit} that the model reads",
                param="max_length",
            )
        query = self._encoder.tokens_of(request.query, "query")
        length = request.max_length or limit
        return [query, *(self._encoder.cut_tokens(text, length) for text in request.documents)]

    def _score(self, query: "Vector", document: "Vector") -> float:
        length = max(float(self._norm(query)) * float(self._norm(document)), 1e-12)
        return min(1.0, max(0.0, (1 + float(query @ document) / length) / 2))
