"""The body of a completion request and its way into core."""

from typing import Annotated

from pydantic import Field

from serve_app.api.openai.sampling_body import SamplingBody
from serve_app.api.wire_types import Flag, Integer, Text, TokenId
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import Complete, Prompt

TokenIds = Annotated[list[TokenId], Field(min_length=1)]


class CompletionBody(SamplingBody):
    """A prompt, several prompts, or token ids."""

    prompt: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=128)]
        | TokenIds
        | Annotated[list[TokenIds], Field(min_length=1, max_length=128)]
    )
    suffix: Text | None = None
    best_of: Annotated[Integer, Field(ge=1, le=20)] | None = None
    echo: Flag | None = None
    logprobs: Annotated[Integer, Field(ge=0, le=5)] | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        names = self.sent("user")
        return [*names, *self.idle_stream_options()]

    def to_complete(self, model: str) -> Complete:
        """The operation."""
        sampling = self.sampling(logprobs=self.logprobs, max_tokens=self.max_tokens)
        if self.best_of is not None and self.best_of < sampling.n:
            raise InvalidRequest(
                f"best_of {self.best_of} is less than n ({sampling.n})", param="best_of"
            )
        if self.best_of is not None and self.best_of > sampling.n and self.stream:
            raise InvalidRequest(
                "a stream cannot return the best of several completions", param="best_of"
            )
        return Complete(
            model=model,
            prompts=self.prompts(),
            sampling=sampling,
            suffix=self.suffix,
            best_of=self.best_of,
            echo=bool(self.echo),
        )

    def prompts(self) -> tuple[Prompt, ...]:
        """In the order in which the choices are numbered."""
        if isinstance(self.prompt, str):
            return (self.prompt,)
        if isinstance(self.prompt[0], int):
            return (tuple(self.prompt),)
        return tuple(p if isinstance(p, str) else tuple(p) for p in self.prompt)
