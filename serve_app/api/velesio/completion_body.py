"""The body of a completion in both of Velesio's ways to speak."""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import override

from serve_app.api.openai.completion_body import CompletionBody
from serve_app.api.velesio.model_names import wanted_model
from serve_app.api.velesio.sampling import LLAMA_MARKS, NO_EFFECT, LlamaBody
from serve_app.api.wire_types import Text, TokenId
from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import Complete, Prompt
from serve_app.core.text.tokens import Tokenize

PROMPTS = 128
Pieces = Annotated[list[TokenId | Text], Field(min_length=1)]


class LlamaCompletionBody(LlamaBody, CompletionBody):
    """A prompt, several, token ids, or text and token ids in turn. `messages` is accepted: clients
    of llama.cpp send what the prompt was made of.
    """

    prompt: (  # type: ignore[assignment]
        Text
        | Annotated[list[Text], Field(max_length=PROMPTS)]
        | Pieces
        | Annotated[list[Text | Pieces], Field(min_length=1, max_length=PROMPTS)]
    )
    messages: Any = None

    @property
    @override
    def is_llama(self) -> bool:
        return bool(LLAMA_MARKS & self.model_fields_set)

    @override
    def without_effect(self) -> list[str]:
        idle = ["n", "best_of", "echo"] if self.is_llama else []
        return [*super().without_effect(), *self.sent("messages", *NO_EFFECT, *idle)]

    @override
    def prompts(self) -> tuple[Prompt, ...]:
        """Texts alone are several prompts; with token ids among them they are one. InvalidRequest
        for an empty one, which only llama.cpp continues.
        """
        given: Any = self.prompt
        if isinstance(given, str) or any(isinstance(piece, int) for piece in given):
            given = [given]
        if not self.is_llama and (not given or "" in given):
            raise InvalidRequest("the prompt must not be empty", param="prompt")
        return tuple(p if isinstance(p, str) else tuple(p) for p in given or [""])

    @override
    def to_complete(self, model: str) -> Complete:
        if not self.is_llama and (self.top_k or 0) < 0:
            raise InvalidRequest("top_k is at least 0", remedy="0 is off", param="top_k")
        made = super().to_complete(model)
        changes: dict[str, Any] = {"response_format": self.llama_format() or made.response_format}
        if self.is_llama:
            # Its answers are one for each prompt.
            sampling = made.sampling.model_copy(update={"n": 1})
            changes |= {"sampling": sampling, "best_of": None, "echo": False}
        return made.model_copy(update=changes)


async def completion_of(
    body: LlamaCompletionBody, catalog: Catalog, found: CatalogEntry
) -> Complete:
    """The operation."""
    operation = body.to_complete(found.id)
    biases = await token_biases(body, catalog, found.id)
    if not biases:
        return operation
    sampling = operation.sampling
    every = sampling.logit_bias | biases
    sampling = sampling.model_copy(update={"logit_bias": every})
    return operation.model_copy(update={"sampling": sampling})


async def token_biases(body: LlamaBody, catalog: Catalog, model: str) -> dict[int, float]:
    """The biases of texts as those of their tokens."""
    found: dict[int, float] = {}
    for text, bias in body.text_biases():
        tokens = await catalog.answer(Tokenize(model=model, text=text))
        found |= dict.fromkeys(tokens.ids, bias)
    return found


def model_of(body: LlamaBody, catalog: Catalog) -> CatalogEntry:
    """The text model that a body is for."""
    return catalog.find("chat", wanted_model(body.model))
