"""Scoring documents against a query."""

from typing import Protocol

from serve_app.core.message import Message


class Rerank(Message):
    """Score each document; pairs longer than `max_length` tokens are cut at the document."""

    model: str
    query: str
    documents: tuple[str, ...]
    max_length: int | None = None


class Relevance(Message):
    """`scores[i]` belongs to `documents[i]`; higher is better, 0 to 1."""

    scores: tuple[float, ...]
    prompt_tokens: int


class RerankModel(Protocol):
    """A cross-encoder."""

    async def rerank(self, request: Rerank) -> Relevance:
        """One score per document, in the order given."""
        ...
