"""POST /v1/rerank."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer
from serve_app.api.call import CallDep
from serve_app.api.direct_route import DirectRoute
from serve_app.api.job_body import JobBody
from serve_app.api.openai.chat_parts import NestedBody
from serve_app.api.operation_answers import text_answer
from serve_app.api.v1.text.rerank_response import RerankOutput, rerank_body, rerank_result
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, Integer, Text
from serve_app.core.bounds import MAX_RERANKED
from serve_app.core.text.rerank import Rerank

router = APIRouter(tags=["text"], responses=ERRORS, route_class=DirectRoute)


class DocumentBody(NestedBody):
    """A document as an object."""

    text: Text


class RerankBody(JobBody):
    """A query, and the documents to sort by relevance."""

    model: Text = Field(min_length=1, max_length=500)
    query: Text = Field(min_length=1)
    documents: list[Text | DocumentBody] = Field(min_length=1, max_length=MAX_RERANKED)
    top_n: Annotated[Integer, Field(ge=1)] | None = None
    return_documents: Flag | None = None
    max_length: Annotated[Integer, Field(ge=1, le=2**31)] | None = None

    def texts(self) -> tuple[str, ...]:
        """The documents' texts in order."""
        return tuple(d if isinstance(d, str) else d.text for d in self.documents)


@router.post("/v1/rerank")
async def rerank(body: RerankBody, call: CallDep) -> Response:
    """Sort documents by their relevance to a query, best first."""
    found = call.context.catalog.find("rerank", body.model)
    operation = Rerank(
        model=found.id, query=body.query, documents=body.texts(), max_length=body.max_length
    )
    output = RerankOutput(top_n=body.top_n, return_documents=body.return_documents)

    async def answer() -> dict[str, Any]:
        return rerank_result(await call.context.catalog.answer(operation), operation, output)

    return await text_answer(call, body, operation, answer, output=output)


ANSWERS = (Answer(Rerank, RerankOutput, rerank_body, reads_operation=True),)
