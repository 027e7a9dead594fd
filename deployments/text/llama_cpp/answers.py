"""Answers of llama.cpp as events: streams from its threads, errors, usage."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from deployments.text.generation.answer import AnswerParser
from deployments.text.llama_cpp.choice import LlamaChoice
from deployments.text.llama_cpp.errors import error_of
from deployments.text.llama_cpp.fields import sampling_fields
from deployments.text.llama_cpp.server import LlamaServer
from serve_app.core.text.chat import ChatEvent, Sampling, Usage
from serve_app.runtime.threads import pushed


@dataclass(frozen=True)
class Answering:
    """A prompt and how to go on from it. `param` is the field that the prompt came in, and
    `grammar_param` the one that the grammar did.
    """

    prompt: Any
    sampling: Sampling
    parser: Callable[[int], AnswerParser]
    param: str
    grammar: str | None = None
    grammar_param: str = "response_format"
    choices: int = 1
    first: int = 0


async def answer_events(server: LlamaServer, answering: Answering) -> AsyncGenerator[ChatEvent]:
    """The deltas of all choices, then their usage."""
    sampling = answering.sampling
    choices = [
        LlamaChoice(
            answering.parser(answering.first + i), sampling.stop, alternatives=sampling.logprobs
        )
        for i in range(answering.choices)
    ]
    total = Usage(prompt_tokens=0, completion_tokens=0, cached_tokens=0)
    # More choices than there are slots take turns.
    for start in range(0, len(choices), server.slots):
        part = choices[start : start + server.slots]
        async with aclosing(_written(server, answering, part, start)) as events:
            async for event in events:
                if isinstance(event, Usage):
                    total = _sum(total, event, is_same_prompt=start > 0)
                else:
                    yield event
    reasoning = sum(choice.reasoning_tokens for choice in choices)
    yield total.model_copy(update={"reasoning_tokens": reasoning or None})


async def _written(
    server: LlamaServer, answering: Answering, choices: list[LlamaChoice], start: int
) -> AsyncGenerator[ChatEvent]:
    fields = _fields(server, answering, len(choices), start)
    usage = Usage(prompt_tokens=0, completion_tokens=0)
    is_silent = answering.sampling.max_tokens == 0
    running = server.running

    def work(push: Callable[[dict[str, Any]], None], is_stopped: Callable[[], bool]) -> None:
        def took(chunk: dict[str, Any]) -> bool:
            push(chunk)
            return is_stopped()

        running.handle_completions(fields, took)

    async with aclosing(pushed(work, server.threads)) as chunks:
        async for chunk in chunks:
            if "error" in chunk:
                raise error_of(
                    chunk["error"],
                    param=answering.param,
                    grammar_param=answering.grammar_param if answering.grammar else None,
                )
            timings = chunk.get("timings") or {}
            if progress := chunk.get("prompt_progress"):
                usage = usage.model_copy(
                    update={"prompt_tokens": progress["total"], "cached_tokens": progress["cache"]}
                )
                continue
            for piece in chunk.get("choices") or ():
                choice = choices[piece["index"]]
                if is_silent:
                    # llama.cpp writes a token at least.
                    piece, timings = {"finish_reason": "length"}, {}
                for delta in choice.push(piece, timings.get("predicted_n") or 0):
                    yield delta
            if all(choice.is_finished for choice in choices):
                break
    tokens = sum(choice.tokens for choice in choices)
    yield usage.model_copy(update={"completion_tokens": tokens})


def _fields(server: LlamaServer, answering: Answering, choices: int, start: int) -> dict[str, Any]:
    sampling = answering.sampling
    limit = sampling.max_tokens
    fields = sampling_fields(server.settled(sampling)) | {
        "prompt": answering.prompt,
        "stream": True,
        "n_predict": -1 if limit is None else max(1, limit),
        "cache_prompt": True,
        # Both tell of a prompt while it is read, so that a caller who has gone is noticed.
        "return_progress": True,
        "timings_per_token": True,
    }
    if sampling.seed is not None:
        fields["seed"] = sampling.seed + start
    if answering.grammar is not None:
        fields["grammar"] = answering.grammar
    if choices > 1:
        fields["n"] = choices
    return fields


def _sum(total: Usage, part: Usage, *, is_same_prompt: bool) -> Usage:
    more = total.completion_tokens + part.completion_tokens
    known = total if is_same_prompt else part
    return known.model_copy(update={"completion_tokens": more})
