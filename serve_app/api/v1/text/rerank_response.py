"""Ranked documents on the wire."""

from typing import Any

from serve_app.core.text.rerank import Relevance, Rerank


def rerank_result(
    relevance: Relevance,
    request: Rerank,
    *,
    top_n: int | None = None,
    return_documents: bool | None = None,
) -> dict[str, Any]:
    """Best first; equal scores keep the order of the request."""
    order = sorted(range(len(request.documents)), key=lambda i: -relevance.scores[i])
    results: list[dict[str, Any]] = []
    for i in order[:top_n]:
        result: dict[str, Any] = {"index": i, "relevance_score": relevance.scores[i]}
        if return_documents:
            result["document"] = {"text": request.documents[i]}
        results.append(result)
    tokens = relevance.prompt_tokens
    return {
        "object": "rerank.result",
        "model": request.model,
        "results": results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
