"""Cross-encoders of transformers, as plain blocking calls. Imported only where torch is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from deployments.torch_device import device_of
from deployments.transformers_checkpoint import loading, loading_arguments, token_limit
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, ContextLengthExceeded, InvalidRequest
from serve_app.core.options.text import TransformersOptions

Pair = dict[str, list[int]]
"""One tokenized query and document: `input_ids`, and `token_type_ids` where the model has them."""


class TransformersCrossEncoder:
    """One loaded model. Not thread-safe, as fast tokenizers are not."""

    def __init__(self, options: TransformersOptions, model: Model, path: Path | None) -> None:
        self._device = device_of(options)
        with loading(model, path) as directory:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                directory, trust_remote_code=options.trust_remote_code, local_files_only=True
            )
            loaded, report = AutoModelForSequenceClassification.from_pretrained(
                directory, output_loading_info=True, **loading_arguments(options, self._device)
            )
        self._labels = int(loaded.config.num_labels)
        if report["missing_keys"] or self._labels not in (1, 2):
            raise BackendUnavailable(
                f"model {model.id!r} is not a cross-encoder with one or two labels",
                remedy="set its source to a reranking checkpoint",
            )
        self.limit = token_limit(loaded, self._tokenizer, options)
        self._model = loaded.to(self._device).eval()
        self._model.config.use_cache = False
        self._tokenizer.padding_side = "right"

    def pairs(self, query: str, documents: Sequence[str], max_length: int | None) -> list[Pair]:
        """Tokenized pairs, each cut at the document's end to `max_length` tokens.

        Raises InvalidRequest for a `max_length` above the model's, and ContextLengthExceeded for a
        query that leaves no room.
        """
        if max_length is not None and self.limit is not None and max_length > self.limit:
            raise InvalidRequest(
                f"{max_length} tokens are more than the {self.limit} that the model reads",
                param="max_length",
            )
        length = max_length or self.limit
        self._check_query(query, length)
        cut: dict[str, Any] = {"truncation": False}
        if length is not None:
            cut = {"truncation": "only_second", "max_length": length}
        encoded = self._tokenizer(
            [query] * len(documents), list(documents), return_attention_mask=False, **cut
        )
        return [{key: encoded[key][row] for key in encoded} for row in range(len(documents))]

    def scores(self, batch: list[Pair]) -> list[float]:
        """Relevance from 0 to 1 per pair."""
        inputs = self._tokenizer.pad(batch, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            logits = self._model(**inputs).logits.float()
        if self._labels == 1:
            return list(torch.sigmoid(logits[:, 0]).tolist())
        return list(torch.softmax(logits, dim=1)[:, 1].tolist())

    def _check_query(self, query: str, length: int | None) -> None:
        """One token of the document has to fit, else truncation has nothing to cut."""
        # In lists, because outside of one an empty second text counts as none.
        empty = self._tokenizer([query], [""], truncation=False, verbose=False)["input_ids"][0]
        if length is not None and len(empty) >= length:
            raise ContextLengthExceeded(
                f"the query takes {len(empty)} of {length} tokens and leaves none for a document",
                param="query",
            )
