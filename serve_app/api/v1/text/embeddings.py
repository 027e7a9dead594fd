"""POST /v1/embeddings."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.answers import Answer
from serve_app.api.call import CallDep
from serve_app.api.context import Context
from serve_app.api.direct_route import DirectRoute
from serve_app.api.openai.embedding_body import EmbeddingBody
from serve_app.api.openai.embedding_response import (
    EmbeddingOutput,
    embedding_list,
    embeddings_body,
)
from serve_app.api.operation_answers import text_answer
from serve_app.api.v1.wire import ERRORS
from serve_app.core.bounds import MAX_EMBEDDED
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.text.embeddings import Embed

router = APIRouter(tags=["text"], responses=ERRORS, route_class=DirectRoute)


@router.post("/v1/embeddings")
async def embeddings(body: EmbeddingBody, call: CallDep) -> Response:
    """Embed texts and images; the vectors of texts come first."""
    context = call.context
    found = context.catalog.find("embeddings", body.model)
    texts, images = body.texts(), body.images()
    if not texts and not images:
        raise InvalidRequest("there is nothing to embed", param="input")
    if len(texts) + len(images) > MAX_EMBEDDED:
        raise InvalidRequest(f"more than {MAX_EMBEDDED} inputs were sent", param="input")
    if images and "image_to_text" not in found.model.capabilities:
        raise UnsupportedCapability(f"model {found.id!r} embeds text only", param="image")
    operation = Embed(
        model=found.id,
        texts=texts,
        images=tuple([await _stored_image(context, image, i) for i, image in enumerate(images)]),
        dimensions=body.dimensions,
    )
    output = EmbeddingOutput(encoding_format=body.encoding_format, quantization=body.quantization)

    async def answer() -> dict[str, Any]:
        return embedding_list(await context.catalog.answer(operation), found.id, output)

    return await text_answer(call, body, operation, answer, output=output)


async def _stored_image(context: Context, image: str, position: int) -> Any:
    return await context.intake.take(image, param=f"image[{position}]", kind="image")


ANSWERS = (Answer(Embed, EmbeddingOutput, embeddings_body, reads_operation=True),)
