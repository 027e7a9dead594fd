"""Scoring documents against a query."""

from typing import Protocol

from serve_app.core.engine import Engine
from serve_app.core.message import Message
from serve_app.core.operation import Operation


class Relevance(Message):
    """`scores[i]` belongs to `documents[i]`; higher is better, 0 to 1."""

    scores: tuple[float, ...]
    prompt_tokens: int


class Rerank(Operation[Relevance]):
    """Score each document; pairs longer than `max_length` tokens are cut at the document."""

    name, task, verb = "rerank", "rerank", "rerank"
    answers_once = True

    model: str
    query: str
    documents: tuple[str, ...]
    max_length: int | None = None


class RerankModel(Engine, Protocol):
    """A cross-encoder."""

    async def rerank(self, request: Rerank) -> Relevance:
        """One score per document, in the order given."""
        ...
