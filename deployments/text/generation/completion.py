"""Plain completion: several prompts, several choices each, echo and best-of."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from deployments.text.enforced_schema import enforced_format, warned
from deployments.text.fill_marks import marks_of
from deployments.text.generation.answer import AnswerParser
from deployments.text.generation.constraint import Constraint
from deployments.text.generation.decode import Decoding
from deployments.text.generation.generator import TextGenerator
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.text.chat import ChatDelta, ChatEvent, Complete, Sampling, Usage


async def completion_events(
    generator: TextGenerator, request: Complete
) -> AsyncGenerator[ChatEvent]:
    """Every prompt after the other; all are checked before the first is begun."""
    generator.check_bias(request.sampling)
    form, warnings = await enforced_format(request.response_format)
    # A grammar takes up to seconds, for which the event loop must not wait.
    constraint = await asyncio.to_thread(generator.formatted, form)
    prompts = [await _ids(generator, request, i) for i in range(len(request.prompts))]
    decodings = [_decoding(generator, request, prompt, constraint) for prompt in prompts]
    async with aclosing(_continued(generator, request, decodings)) as events:
        async for event in warned(events, warnings):
            yield event


async def _continued(
    generator: TextGenerator, request: Complete, decodings: list[Decoding]
) -> AsyncGenerator[ChatEvent]:
    total = Usage(prompt_tokens=0, completion_tokens=0)
    for number, decoding in enumerate(decodings):
        first = number * request.sampling.n
        if request.echo:
            async for delta in _echo(generator, request, number, decoding.prompt):
                yield delta
        events = generator.events(decoding, _plain, first=first)
        if decoding.choices > request.sampling.n:
            events = _best(events, first, request.sampling)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Usage):
                    total = _sum(total, event)
                else:
                    yield event
    yield total


def _plain(index: int) -> AnswerParser:
    """Completions have neither calls nor reasoning: all is text."""
    return AnswerParser(index).as_text()


async def _ids(generator: TextGenerator, request: Complete, number: int) -> list[int]:
    prompt = request.prompts[number]
    if isinstance(prompt, str):
        text = _with_suffix(generator, prompt, request.suffix)
        ids = await generator.encoded(text, has_specials=request.suffix is not None)
        return ids or sorted(generator.checkpoint.eos_ids)[:1] or [0]
    if request.suffix is not None:
        raise InvalidRequest("a suffix needs the prompt as text", param="suffix")
    joined: list[int] = []
    for position, piece in enumerate(prompt):
        if isinstance(piece, str):
            joined += await generator.encoded(piece, has_specials=position > 0)
        else:
            _check_token(piece, generator.checkpoint.vocabulary)
            joined.append(piece)
    return joined


def _check_token(token: int, vocabulary: int) -> None:
    if token >= vocabulary:
        raise InvalidRequest(
            f"there is no token {token}", remedy=f"the last is {vocabulary - 1}", param="prompt"
        )


def _with_suffix(generator: TextGenerator, prompt: str, suffix: str | None) -> str:
    if suffix is None:
        return prompt
    marks = marks_of(generator.checkpoint.tokenizer.get_vocab())
    if marks is None:
        raise UnsupportedCapability(
            f"model {generator.checkpoint.model_id!r} does not support infilling",
            remedy="leave the suffix out",
            param="suffix",
        )
    before, after, middle = marks
    return f"{before}{prompt}{after}{suffix}{middle}"


def _decoding(
    generator: TextGenerator, request: Complete, prompt: list[int], constraint: Constraint | None
) -> Decoding:
    sampling = generator.settled(request.sampling)
    choices = max(request.best_of or 0, sampling.n)
    if choices > sampling.n and sampling.logprobs is None:
        # The likelihood decides which ones are best.
        sampling = sampling.model_copy(update={"logprobs": 0})
    limit = generator.limit(prompt, sampling, param="prompt")
    return Decoding(prompt, sampling, choices, limit, generator.checkpoint.eos_ids, constraint)


async def _echo(
    generator: TextGenerator, request: Complete, number: int, prompt: list[int]
) -> AsyncGenerator[ChatDelta]:
    """The prompt itself, as every choice's beginning."""
    checkpoint = generator.checkpoint
    given = request.prompts[number]
    text = given if isinstance(given, str) else checkpoint.tokenizer.decode(prompt)
    logprobs = []
    if request.sampling.logprobs is not None:
        steps = await asyncio.to_thread(
            generator.loop.prompt_logprobs, prompt, request.sampling.logprobs
        )
        for step in steps:
            top = tuple(checkpoint.describe(token, value) for token, value in step.top)
            entry = checkpoint.describe(step.token, step.logprob)
            logprobs.append(entry.model_copy(update={"top": top}))
    for choice in range(request.sampling.n):
        index = number * request.sampling.n + choice
        yield ChatDelta(index=index, text=text, logprobs=tuple(logprobs))


async def _best(
    events: AsyncGenerator[ChatEvent], first: int, wanted: Sampling
) -> AsyncGenerator[ChatEvent]:
    """The `n` choices with the highest mean log probability, renumbered, best first."""
    candidates: dict[int, list[ChatDelta]] = {}
    usage: Usage | None = None
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Usage):
                usage = event
            else:
                candidates.setdefault(event.index, []).append(event)
    ranked = sorted(candidates.values(), key=_mean_logprob, reverse=True)
    for place, deltas in enumerate(ranked[: wanted.n]):
        for delta in deltas:
            shown = delta.logprobs if wanted.logprobs is not None else ()
            yield delta.model_copy(update={"index": first + place, "logprobs": shown})
    if usage is not None:
        yield usage


def _mean_logprob(deltas: list[ChatDelta]) -> float:
    values = [item.logprob or 0.0 for delta in deltas for item in delta.logprobs]
    return sum(values) / len(values) if values else 0.0


def _sum(left: Usage, right: Usage) -> Usage:
    return Usage(
        prompt_tokens=left.prompt_tokens + right.prompt_tokens,
        completion_tokens=left.completion_tokens + right.completion_tokens,
        fingerprint=right.fingerprint,
    )
