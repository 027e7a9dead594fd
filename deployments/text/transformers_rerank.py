"""Reranking by transformers cross-encoders."""

from pathlib import Path
from typing import TYPE_CHECKING

from deployments.model_engine import WorkerEngine
from serve_app.core.config import Model
from serve_app.core.media import BlobStore
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.rerank import Relevance, Rerank

if TYPE_CHECKING:
    from deployments.micro_batches import MicroBatches
    from deployments.text.transformers_cross_encoder import Pair


class TransformersRerank(WorkerEngine[TransformersOptions]):
    """One cross-encoder: one label is scored by a sigmoid, two by the second's softmax."""

    def __init__(
        self,
        options: TransformersOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        from deployments.text.transformers_cross_encoder import TransformersCrossEncoder

        self._encoder = TransformersCrossEncoder(options, model, path)
        self._pairs: MicroBatches[Pair, float] = self.micro_batches(
            self._encoder.scores,
            size=lambda pair: len(pair["input_ids"]),
            max_size=options.max_batch_tokens,
        )
        self.context_length = self._encoder.limit

    async def rerank(self, request: Rerank) -> Relevance:
        """One score per document, in the order given; documents that are too long are cut."""
        pairs = await self.in_worker(
            lambda: self._encoder.pairs(request.query, request.documents, request.max_length)
        )
        return Relevance(
            scores=tuple(await self._pairs.results(pairs)),
            prompt_tokens=sum(len(pair["input_ids"]) for pair in pairs),
        )
