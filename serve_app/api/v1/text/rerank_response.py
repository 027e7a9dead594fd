"""Ranked documents on the wire."""

from typing import Any

from serve_app.api.answers import AnswerBody, AnswerOutput, Finished
from serve_app.core.text.rerank import Relevance, Rerank


class RerankOutput(AnswerOutput):
    """How many of the documents are listed, and whether with their texts."""

    top_n: int | None = None
    return_documents: bool | None = None


async def rerank_body(finished: Finished[Rerank, Relevance, RerankOutput]) -> AnswerBody:
    """The ranking of a job."""
    return rerank_result(finished.result, finished.operation, finished.output)


def rerank_result(relevance: Relevance, request: Rerank, output: RerankOutput) -> dict[str, Any]:
    """Best first; equal scores keep the order of the request."""
    order = sorted(range(len(request.documents)), key=lambda i: -relevance.scores[i])
    results: list[dict[str, Any]] = []
    for i in order[: output.top_n]:
        result: dict[str, Any] = {"index": i, "relevance_score": relevance.scores[i]}
        if output.return_documents:
            result["document"] = {"text": request.documents[i]}
        results.append(result)
    tokens = relevance.prompt_tokens
    return {
        "object": "rerank.result",
        "model": request.model,
        "results": results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
