"""POST /embeddings and /embedding: OpenAI's, and llama.cpp's older ones."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field
from typing_extensions import override

from serve_app.api.answers import Answer
from serve_app.api.call import Call, CallDep, dialect_errors
from serve_app.api.openai.embedding_body import EmbeddingBody
from serve_app.api.openai.embedding_response import (
    EmbeddingOutput,
    embedding_list,
    embeddings_body,
)
from serve_app.api.operation_answers import text_answer
from serve_app.api.velesio.errors import ERRORS
from serve_app.api.velesio.model_names import wanted_model
from serve_app.api.wire_types import ModelName, Text
from serve_app.core.bounds import MAX_EMBEDDED
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.embeddings import Embed

router = APIRouter(tags=["text"], responses=ERRORS)
CONTENT, INPUT = "content", "input"
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_EMBEDDED)]


class LlamaEmbeddingBody(EmbeddingBody):
    """`input` is OpenAI's, `content` is llama.cpp's; `stream` is sent by those clients that expect
    the newer of its two forms.
    """

    model: ModelName | None = None  # type: ignore[assignment]
    content: Text | Texts | None = None
    stream: Any = None

    @override
    def texts(self) -> tuple[str | tuple[int, ...], ...]:
        if self.content is None:
            return super().texts()
        texts = [self.content] if isinstance(self.content, str) else self.content
        if "" in texts:
            raise InvalidRequest("the text must not be empty", param=CONTENT)
        return tuple(texts)


@router.post("/embeddings")
async def velesio_embeddings(body: LlamaEmbeddingBody, call: CallDep) -> Response:
    """Embed texts. `content` instead of `input` is answered as llama.cpp does."""
    return await embedded(body, call, is_array=body.stream is not None)


@router.post("/embedding")
async def embedding(body: LlamaEmbeddingBody, call: CallDep) -> Response:
    """Embed a text, as llama.cpp does."""
    return await embedded(body, call, is_array=True)


async def embedded(body: LlamaEmbeddingBody, call: Call, *, is_array: bool) -> Response:
    """The vectors, in the form that the body asks for."""
    catalog = call.context.catalog
    with dialect_errors(call.dialect, Embed.name):
        found = catalog.find("embeddings", wanted_model(body.model))
    texts = body.texts()
    if not texts or body.image is not None:
        raise InvalidRequest("a text is needed, and nothing else is embedded here", param=INPUT)
    operation = Embed(model=found.id, texts=texts, dimensions=body.dimensions)
    output = EmbeddingOutput(encoding_format=body.encoding_format, quantization=body.quantization)

    async def answer() -> Any:
        listed = embedding_list(await catalog.answer(operation), found.id, output)
        return listed if body.content is None else llama_embeddings(listed, is_array=is_array)

    own = {} if body.content is None else {INPUT: CONTENT}
    with renamed_error_fields(own):
        return await text_answer(call, body, operation, answer, output=output)


def llama_embeddings(listed: dict[str, Any], *, is_array: bool) -> Any:
    """An array with a matrix for each text, or the vector of the only one."""
    vectors = [each["embedding"] for each in listed["data"]]
    if is_array or len(vectors) > 1:
        return [{"index": i, "embedding": [vector]} for i, vector in enumerate(vectors)]
    return {"embedding": vectors[0]}


ANSWERS = (Answer(Embed, EmbeddingOutput, embeddings_body, reads_operation=True),)
