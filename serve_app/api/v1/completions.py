"""POST /v1/completions."""

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.context import ContextDep
from serve_app.api.sse import DONE, frame, sse_response
from serve_app.api.v1.chat_response import usage_object
from serve_app.api.v1.sampling_body import SamplingBody
from serve_app.api.v1.wire import ERRORS, Flag, Integer, Text, json_response
from serve_app.core.chat import ChatEvent, Complete, TokenLogprob, Usage
from serve_app.core.errors import InvalidRequest
from serve_app.core.streams import closing, gathered, started

router = APIRouter(tags=["text"], responses=ERRORS)
TokenId = Annotated[Integer, Field(ge=0)]
TokenIds = Annotated[list[TokenId], Field(min_length=1)]


class CompletionBody(SamplingBody):
    """A prompt, several, or token ids."""

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
        return ["user"] if self.user is not None else []

    def to_complete(self, model: str) -> Complete:
        """The operation."""
        sampling = self.sampling(logprobs=self.logprobs, max_tokens=self.max_tokens)
        if self.best_of is not None and self.best_of < sampling.n:
            raise InvalidRequest(
                f"best_of: {self.best_of} is less than n ({sampling.n})", param="best_of"
            )
        if self.best_of is not None and self.best_of > sampling.n and self.stream:
            raise InvalidRequest("best_of: cannot be streamed", param="best_of")
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
async def completions(body: CompletionBody, request: Request, context: ContextDep) -> Response:
    """Continue a prompt, whole or as server-sent events."""
    body.refuse_async(request.headers)
    found = context.models.chat(body.model)
    operation = body.to_complete(found.id)
    events = found.runs.complete(operation)
    if body.stream:
        frames = completion_chunks(
            await started(events), model=found.id, wants_usage=body.wants_usage
        )
        return sse_response(frames, path=request.url.path, headers=body.ignored())
    count = len(operation.prompts) * operation.sampling.n
    answer = text_completion(await gathered(events), model=found.id, count=count)
    return json_response(answer, body.ignored())


def text_completion(events: list[ChatEvent], *, model: str, count: int) -> dict[str, Any]:
    """The whole answer of `count` choices."""
    choices = [_choice(index) for index in range(count)]
    usage: Usage | None = None
    for event in events:
        if isinstance(event, Usage):
            usage = event
            continue
        choice = choices[event.index]
        if event.logprobs:
            choice["logprobs"] = _with_logprobs(choice, event.logprobs)
        choice["text"] += event.text
        choice["finish_reason"] = event.finish_reason or choice["finish_reason"]
    return _head(model) | {
        "system_fingerprint": usage.fingerprint if usage else None,
        "choices": choices,
        "usage": usage_object(usage) if usage else None,
    }


async def completion_chunks(
    events: AsyncIterator[ChatEvent], *, model: str, wants_usage: bool
) -> AsyncGenerator[bytes]:
    """SSE frames of the same object; text offsets count from the start of each choice."""
    head = _head(model)
    offsets: dict[int, int] = {}
    async with closing(events):
        async for event in events:
            if isinstance(event, Usage):
                if wants_usage:
                    yield frame(head | {"choices": [], "usage": usage_object(event)})
                continue
            choice = _choice(event.index)
            if event.logprobs:
                offset = offsets.get(event.index, 0)
                choice["logprobs"] = _with_logprobs(choice, event.logprobs, offset=offset)
            choice["text"] = event.text
            choice["finish_reason"] = event.finish_reason
            offsets[event.index] = offsets.get(event.index, 0) + len(event.text)
            yield frame(head | {"choices": [choice]})
    yield DONE


def _head(model: str) -> dict[str, Any]:
    return {
        "id": f"cmpl-{secrets.token_hex(12)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
    }


def _choice(index: int) -> dict[str, Any]:
    return {"text": "", "index": index, "logprobs": None, "finish_reason": None}


def _with_logprobs(
    choice: dict[str, Any], items: tuple[TokenLogprob, ...], *, offset: int = 0
) -> dict[str, Any]:
    """OpenAI's older shape: parallel lists, the alternatives as an object per token."""
    lists = choice["logprobs"] or {
        "tokens": [],
        "token_logprobs": [],
        "top_logprobs": [],
        "text_offset": [],
    }
    position = offset + len(choice["text"])
    for item in items:
        lists["tokens"].append(item.token)
        lists["token_logprobs"].append(_finite(item.logprob))
        lists["top_logprobs"].append({top.token: _finite(top.logprob) for top in item.top} or None)
        lists["text_offset"].append(position)
        position += len(item.token)
    return lists


def _finite(value: float | None) -> float | None:
    return None if value is None else max(value, -9999.0)
