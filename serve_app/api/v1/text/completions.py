"""POST /v1/completions."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, AnswerOutput, Finished
from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.direct_route import DirectRoute
from serve_app.api.sse import sse_response
from serve_app.api.v1.jobs.job_calls import streamed, text_answer
from serve_app.api.v1.text.chat_response import job_identity
from serve_app.api.v1.text.completion_response import completion_chunks, text_completion
from serve_app.api.v1.text.sampling_body import SamplingBody
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, Integer, Text, TokenId
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import CollectedText, Complete
from serve_app.runtime.streams import gathered

router = APIRouter(tags=["text"], responses=ERRORS, route_class=DirectRoute)
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
            prompts=self._prompts(),
            sampling=sampling,
            suffix=self.suffix,
            best_of=self.best_of,
            echo=bool(self.echo),
        )

    def _prompts(self) -> tuple[str | tuple[int, ...], ...]:
        if isinstance(self.prompt, str):
            return (self.prompt,)
        if isinstance(self.prompt[0], int):
            return (tuple(self.prompt),)
        return tuple(p if isinstance(p, str) else tuple(p) for p in self.prompt)


@router.post("/v1/completions")
async def completions(
    body: CompletionBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Complete a prompt, as one response or as server-sent events."""
    found = context.catalog.find("chat", body.model)
    operation = body.to_complete(found.id)
    if body.stream:
        events = found.stream_text(operation)
        opened, headers = await streamed(body, operation, request, context, principal, events)
        frames = completion_chunks(opened, model=found.id, wants_usage=body.wants_usage)
        return sse_response(frames, request, headers=headers)
    count = len(operation.prompts) * operation.sampling.n

    async def answer() -> dict[str, Any]:
        events = await gathered(found.stream_text(operation))
        return text_completion(events, model=found.id, count=count)

    return await text_answer(body, operation, request, context, principal, answer)


async def completion_body(finished: Finished[Complete, CollectedText, AnswerOutput]) -> AnswerBody:
    """The whole answer, of what was said."""
    operation = finished.operation
    count = len(operation.prompts) * operation.sampling.n
    answer = text_completion(list(finished.result.events), model=operation.model, count=count)
    return answer | job_identity("cmpl", finished)


ANSWERS = (Answer(Complete, AnswerOutput, completion_body, reads_operation=True),)
