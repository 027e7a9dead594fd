"""Embeddings and rerank scores."""

import base64
import binascii
import math
from array import array
from collections.abc import AsyncGenerator
from typing import Any

from serve_app.core.errors import UnsupportedCapability
from serve_app.core.text.embeddings import Embed, Embeddings
from serve_app.core.text.rerank import Relevance, Rerank
from serve_app.upstreams.openai_form.exchange import Object, OpenAIExchange
from serve_app.upstreams.openai_form.text_events import count


async def embed(operation: Embed, exchange: OpenAIExchange) -> AsyncGenerator[Embeddings]:
    """Vectors of length one, in the order of the texts."""
    if operation.images:
        raise UnsupportedCapability(
            "the provider embeds text only", remedy="leave the images out", param="images"
        )
    content: Object = {
        "model": exchange.target.model,
        "input": [each if isinstance(each, str) else list(each) for each in operation.texts],
        # A third of the bytes; who does not know it sends numbers.
        "encoding_format": "base64",
    }
    if operation.dimensions is not None:
        content["dimensions"] = operation.dimensions
    answer = await exchange.post("embeddings", content)
    vectors = [_vector(each) for each in _in_order(answer.get("data"), len(operation.texts))]
    if not vectors or any(vector is None for vector in vectors):
        raise exchange.unreadable("has no vector for every text")
    known = [vector for vector in vectors if vector is not None]
    yield Embeddings(
        vectors=tuple(vector.tobytes() for vector in known),
        dimensions=len(known[0]),
        prompt_tokens=_prompt_tokens(answer),
    )


async def rerank(operation: Rerank, exchange: OpenAIExchange) -> AsyncGenerator[Relevance]:
    """In the form of Jina and Cohere, which most servers know."""
    content = {
        "model": exchange.target.model,
        "query": operation.query,
        "documents": list(operation.documents),
        "top_n": len(operation.documents),
        "return_documents": False,
    }
    answer = await exchange.post("rerank", content)
    found = answer.get("results") or answer.get("data")
    scores = [_score(each) for each in _in_order(found, len(operation.documents))]
    if any(score is None for score in scores):
        raise exchange.unreadable("has no score for every document")
    known = tuple(score for score in scores if score is not None)
    yield Relevance(scores=known, prompt_tokens=_prompt_tokens(answer))


def _in_order(found: Any, size: int) -> list[Object | None]:
    """What belongs to each input, by its number; by its place where it has none."""
    placed: list[Object | None] = [None] * size
    for place, each in enumerate(found if isinstance(found, list) else ()):
        index = each.get("index", place) if isinstance(each, dict) else None
        if isinstance(index, int) and 0 <= index < size:
            placed[index] = each
    return placed


def _vector(entry: Object | None) -> "array[float] | None":
    value = entry.get("embedding") if entry else None
    try:
        if isinstance(value, str):
            vector = array("f", base64.b64decode(value, validate=True))
        else:
            vector = array("f", value or ())
    except (TypeError, ValueError, binascii.Error):
        return None
    length = math.sqrt(sum(number * number for number in vector))
    if not vector or not math.isfinite(length):
        return None
    if abs(length - 1) > 1e-4 and length > 0:
        vector = array("f", [number / length for number in vector])
    return vector


def _score(entry: Object | None) -> float | None:
    value = entry.get("relevance_score", entry.get("score")) if entry else None
    return float(value) if isinstance(value, int | float) else None


def _prompt_tokens(answer: Object) -> int:
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return count(usage.get("prompt_tokens")) or count(usage.get("total_tokens")) or 0
