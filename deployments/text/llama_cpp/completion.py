"""Plain completion: several prompts, several choices each, echo, infilling and best-of."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from deployments.text.best_of import best_of
from deployments.text.enforced_schema import enforced_format, warned
from deployments.text.fill_marks import marks_of
from deployments.text.generation.answer import AnswerParser
from deployments.text.llama_cpp.answers import Answering, answer_events
from deployments.text.llama_cpp.fields import check_bias, grammar_of
from deployments.text.llama_cpp.server import LlamaServer
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.text.chat import ChatDelta, ChatEvent, Complete, Prompt, Usage


async def completion_events(server: LlamaServer, request: Complete) -> AsyncGenerator[ChatEvent]:
    """Every prompt after the other; all are checked before the first is begun."""
    check_bias(request.sampling, server.file.vocabulary)
    if request.echo and request.sampling.logprobs is not None:
        raise UnsupportedCapability(
            f"model {request.model!r} has no log probabilities of a prompt",
            remedy="leave out echo or logprobs",
            param="echo",
        )
    form, warnings = await enforced_format(request.response_format)
    grammar = grammar_of(form)
    prompts = [_prompt(server, request, i) for i in range(len(request.prompts))]
    events = _continued(server, request, prompts, grammar)
    is_ranked = (request.best_of or 0) > request.sampling.n
    ranked = best_of(events, request) if is_ranked else events
    async with aclosing(warned(ranked, warnings)) as said:
        async for event in said:
            yield event


async def _continued(
    server: LlamaServer, request: Complete, prompts: list[Any], grammar: str | None
) -> AsyncGenerator[ChatEvent]:
    sampling, choices = request.sampling, request.sampling.n
    if request.best_of is not None and request.best_of > choices:
        choices = request.best_of
        # The likelihood decides which ones are best.
        sampling = sampling.model_copy(update={"logprobs": sampling.logprobs or 0})
    total = Usage(prompt_tokens=0, completion_tokens=0, cached_tokens=0)
    for number, prompt in enumerate(prompts):
        first = number * choices
        if request.echo:
            text = await _text(server, request.prompts[number])
            for i in range(choices):
                yield ChatDelta(index=first + i, text=text)
        answering = Answering(
            prompt, sampling, _plain, "prompt", grammar=grammar, choices=choices, first=first
        )
        async with aclosing(answer_events(server, answering)) as events:
            async for event in events:
                if isinstance(event, Usage):
                    total = _sum(total, event)
                else:
                    yield event
    yield total


def _plain(index: int) -> AnswerParser:
    """Completions have neither calls nor reasoning: all is text."""
    return AnswerParser(index).as_text()


def _prompt(server: LlamaServer, request: Complete, number: int) -> Any:
    prompt = request.prompts[number]
    if isinstance(prompt, str):
        text = _with_suffix(server, prompt, request.suffix)
        # llama.cpp begins nothing with nothing.
        return text or [server.file.first_token]
    if request.suffix is not None:
        raise InvalidRequest("a suffix needs the prompt as text", param="suffix")
    last = server.file.vocabulary - 1
    for piece in prompt:
        if isinstance(piece, int) and piece > last:
            raise InvalidRequest(
                f"there is no token {piece}", remedy=f"the last is {last}", param="prompt"
            )
    return list(prompt)


def _with_suffix(server: LlamaServer, prompt: str, suffix: str | None) -> str:
    if suffix is None:
        return prompt
    marks = marks_of(server.file.tokens)
    if marks is None:
        raise UnsupportedCapability(
            f"model {server.model_id!r} does not support infilling",
            remedy="leave the suffix out",
            param="suffix",
        )
    before, after, middle = marks
    return f"{before}{prompt}{after}{suffix}{middle}"


async def _text(server: LlamaServer, prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    pieces = []
    for piece in prompt:
        if isinstance(piece, str):
            pieces.append(piece)
        else:
            body = {"tokens": [piece]}
            answer = await asyncio.to_thread(server.ask, "/detokenize", body)
            pieces.append(answer["content"])
    return "".join(pieces)


def _sum(left: Usage, right: Usage) -> Usage:
    return Usage(
        prompt_tokens=left.prompt_tokens + right.prompt_tokens,
        completion_tokens=left.completion_tokens + right.completion_tokens,
        cached_tokens=(left.cached_tokens or 0) + (right.cached_tokens or 0),
    )
