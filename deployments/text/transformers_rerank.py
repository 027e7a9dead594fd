"""Reranking by transformers cross-encoders."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.text.micro_batches import MicroBatches
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.media import BlobStore
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.rerank import Relevance, Rerank

if TYPE_CHECKING:
    from deployments.text.transformers_cross_encoder import Pair


class TransformersRerank:
    """One cross-encoder: one label is scored by a sigmoid, two by the second's softmax."""

    def __init__(
        self,
        options: TransformersOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,  # noqa: ARG002
    ) -> None:
        try:
            from deployments.text.transformers_cross_encoder import TransformersCrossEncoder
        except ImportError as error:
            raise BackendUnavailable(
                f"the transformers engine needs {error.name!r}; install the local extra: "
                "pip install 'polyphony[local]'"
            ) from error
        self._encoder = TransformersCrossEncoder(options, model, path)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cross-encoder")
        self._pairs: MicroBatches[Pair, float] = MicroBatches(
            self._worker,
            self._encoder.scores,
            size=lambda pair: len(pair["input_ids"]),
            max_size=options.max_batch_tokens,
        )
        self.context_length = self._encoder.limit

    async def start(self) -> None:
        """Nothing is bound to the event loop."""

    async def close(self) -> None:
        """Stop the thread and refuse what waits for it."""
        self._pairs.close()
        self._worker.shutdown(wait=False)

    async def rerank(self, request: Rerank) -> Relevance:
        """One score per document, in the order given; documents that are too long are cut."""
        pairs = await asyncio.get_running_loop().run_in_executor(
            self._worker,
            self._encoder.pairs,
            request.query,
            request.documents,
            request.max_length,
        )
        return Relevance(
            scores=tuple(await self._pairs.results(pairs)),
            prompt_tokens=sum(len(pair["input_ids"]) for pair in pairs),
        )
