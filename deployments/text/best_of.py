"""Choosing the likeliest of several sampled completions, for engines that cannot."""

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator

from serve_app.core.text.chat import ChatDelta, ChatEvent, Complete


async def best_of(events: AsyncIterator[ChatEvent], request: Complete) -> AsyncGenerator[ChatEvent]:
    """Of `best_of` candidates per prompt the `n` with the highest mean log probability per token,
    best first, after all have ended; then what else there was, the Usage of all that were sampled.

    `events` numbers its choices prompt * best_of + candidate and carries logprobs, which are left
    out where the request asked for none.
    """
    sampled, kept = request.best_of or request.sampling.n, request.sampling.n
    candidates: defaultdict[int, list[ChatDelta]] = defaultdict(list)
    others: list[ChatEvent] = []
    async for event in events:
        if isinstance(event, ChatDelta):
            candidates[event.index].append(event)
        else:
            others.append(event)
    for prompt in range(len(request.prompts)):
        numbers = range(prompt * sampled, (prompt + 1) * sampled)
        ranked = sorted(numbers, key=lambda number: -_mean_logprob(candidates[number]))
        for place, number in enumerate(ranked[:kept]):
            for delta in candidates[number]:
                yield _renumbered(delta, prompt * kept + place, request)
    for event in others:
        yield event


def _mean_logprob(deltas: list[ChatDelta]) -> float:
    logprobs = [token.logprob or 0.0 for delta in deltas for token in delta.logprobs]
    return sum(logprobs) / max(1, len(logprobs))


def _renumbered(delta: ChatDelta, index: int, request: Complete) -> ChatDelta:
    wanted = request.sampling.logprobs is not None
    return delta.model_copy(update={"index": index, "logprobs": delta.logprobs if wanted else ()})
