from collections.abc import AsyncGenerator

import pytest

from deployments.text.best_of import best_of
from serve_app.core.text.chat import ChatDelta, ChatEvent, Complete, Sampling, TokenLogprob, Usage


def said(index: int, text: str, logprob: float, *, last: bool = False) -> ChatDelta:
    token = TokenLogprob(token=text, token_id=1, logprob=logprob)
    reason = "stop" if last else None
    return ChatDelta(index=index, text=text, logprobs=(token,), finish_reason=reason)


USAGE = Usage(prompt_tokens=2, completion_tokens=9)


async def drawn() -> AsyncGenerator[ChatEvent]:
    """Two prompts of three candidates, mixed; the means are -3, -1, -2 and -1, -2, -0.5."""
    yield said(0, "a", -3, last=True)
    yield said(1, "b", -0.5)
    yield said(4, "e", -2, last=True)
    yield said(1, "B", -1.5, last=True)
    yield said(2, "c", -2, last=True)
    yield said(3, "d", -1, last=True)
    yield said(5, "f", -0.5, last=True)
    yield USAGE


@pytest.mark.parametrize("logprobs", [None, 0])
async def test_the_likeliest_come_first_and_are_renumbered(logprobs: int | None) -> None:
    request = Complete(
        model="m", prompts=("x", "y"), best_of=3, sampling=Sampling(n=2, logprobs=logprobs)
    )
    events = [event async for event in best_of(drawn(), request)]
    assert events.pop() == USAGE
    deltas = [event for event in events if isinstance(event, ChatDelta)]
    assert [(delta.index, delta.text) for delta in deltas] == [
        (0, "b"),
        (0, "B"),
        (1, "c"),
        (2, "f"),
        (3, "d"),
    ]
    assert all(bool(delta.logprobs) == (logprobs is not None) for delta in deltas)
    assert deltas[1].finish_reason == "stop"
