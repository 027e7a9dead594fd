"""POST /v1/rerank."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.context import ContextDep
from serve_app.api.v1.chat_parts import Piece
from serve_app.api.v1.wire import ERRORS, Body, Flag, Integer, Text, json_response
from serve_app.core.rerank import Relevance, Rerank

router = APIRouter(tags=["text"], responses=ERRORS)


class DocumentBody(Piece):
    """A document in an object."""

    text: Text


class RerankBody(Body):
    """A query and what to order by it."""

    model: Text = Field(min_length=1, max_length=500)
    query: Text = Field(min_length=1)
    documents: list[Text | DocumentBody] = Field(min_length=1, max_length=1024)
    top_n: Annotated[Integer, Field(ge=1)] | None = None
    return_documents: Flag | None = None
    max_length: Annotated[Integer, Field(ge=1, le=2**31)] | None = None

    def texts(self) -> tuple[str, ...]:
        """The documents' texts in order."""
        return tuple(d if isinstance(d, str) else d.text for d in self.documents)


@router.post("/v1/rerank")
async def rerank(body: RerankBody, request: Request, context: ContextDep) -> Response:
    """Documents ordered by their relevance to the query, best first."""
    body.refuse_async(request.headers)
    found = context.models.rerank(body.model)
    texts = body.texts()
    operation = Rerank(
        model=found.id, query=body.query, documents=texts, max_length=body.max_length
    )
    relevance = await found.runs.rerank(operation)
    return json_response(rerank_result(relevance, texts, body, found.id), body.ignored())


def rerank_result(
    relevance: Relevance, texts: tuple[str, ...], body: RerankBody, model: str
) -> dict[str, Any]:
    """Equal scores keep the order of the request."""
    order = sorted(range(len(texts)), key=lambda i: -relevance.scores[i])
    results: list[dict[str, Any]] = []
    for i in order[: body.top_n]:
        result: dict[str, Any] = {"index": i, "relevance_score": relevance.scores[i]}
        if body.return_documents:
            result["document"] = {"text": texts[i]}
        results.append(result)
    tokens = relevance.prompt_tokens
    return {
        "object": "rerank.result",
        "model": model,
        "results": results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
