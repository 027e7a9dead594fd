import asyncio
from collections.abc import AsyncGenerator

import pytest

from serve_app.core.message import Progress
from serve_app.core.text.chat import ChatDelta, TokenLogprob, ToolCallDelta, Usage
from serve_app.runtime.streams import (
    MAX_WAITING,
    Gatherable,
    batched,
    condensed,
    gathered,
    joined,
    started,
)

HOUR_S = 3600.0


class Script:
    """A stream that says what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[int | Exception | None] = asyncio.Queue()
        self.is_closed = False

    async def items(self) -> AsyncGenerator[int]:
        try:
            while (line := await self.lines.get()) is not None:
                if isinstance(line, Exception):
                    raise line
                yield line
        finally:
            self.is_closed = True

    def say(self, *lines: int | Exception | None) -> None:
        for line in lines:
            self.lines.put_nowait(line)


async def counted(count: int) -> AsyncGenerator[int]:
    for number in range(count):
        yield number


async def settle() -> None:
    """Let every other task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_first_item_does_not_wait_for_the_second() -> None:
    script = Script()
    script.say(1)
    stream = batched(script.items(), window_s=HOUR_S)
    assert await anext(stream) == [1]
    await stream.aclose()


async def test_items_within_the_window_wait_and_leave_together_at_the_end() -> None:
    script = Script()
    script.say(1)
    stream = batched(script.items(), window_s=HOUR_S)
    assert await anext(stream) == [1]
    second = asyncio.ensure_future(anext(stream))
    script.say(2, 3)
    await settle()
    assert not second.done()
    script.say(4, None)
    assert await second == [2, 3, 4]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_the_window_ends_the_wait() -> None:
    script = Script()
    script.say(1)
    stream = batched(script.items(), window_s=0.01)
    assert await anext(stream) == [1]
    script.say(2, 3)
    assert await anext(stream) == [2, 3]
    await stream.aclose()


async def test_an_item_after_a_pause_leaves_at_once() -> None:
    script = Script()
    script.say(1)
    stream = batched(script.items(), window_s=0.001)
    assert await anext(stream) == [1]
    await asyncio.sleep(0.01)
    script.say(2)
    assert await anext(stream) == [2]
    await stream.aclose()


async def test_nothing_is_lost_or_reordered_when_the_reader_is_slow() -> None:
    count = 3 * MAX_WAITING + 7
    batches = []
    async for batch in batched(counted(count), window_s=0):
        batches.append(batch)
        await settle()
    assert [item for batch in batches for item in batch] == list(range(count))
    assert max(map(len, batches)) <= MAX_WAITING


async def test_a_reader_that_stops_reading_stops_the_stream() -> None:
    said = 0

    async def endless() -> AsyncGenerator[int]:
        nonlocal said
        while True:
            said += 1
            yield said

    stream = batched(endless(), window_s=HOUR_S)
    await anext(stream)
    await settle()
    assert said <= 2 * MAX_WAITING
    await stream.aclose()


async def test_an_error_comes_after_the_items_before_it() -> None:
    script = Script()
    script.say(1, 2, ValueError("broken"))
    stream = batched(script.items(), window_s=HOUR_S)
    assert [item for batch in [await anext(stream)] for item in batch] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        await anext(stream)


async def test_an_error_before_the_first_item_is_raised() -> None:
    script = Script()
    script.say(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await anext(batched(script.items(), window_s=HOUR_S))


async def test_an_empty_stream_gives_no_list() -> None:
    assert [batch async for batch in batched(counted(0), window_s=HOUR_S)] == []


async def test_closing_while_items_are_awaited_closes_the_source() -> None:
    script = Script()
    script.say(1)
    stream = batched(script.items(), window_s=HOUR_S)
    await anext(stream)
    await stream.aclose()
    assert script.is_closed


async def test_cancelling_the_reader_closes_the_source() -> None:
    script = Script()

    async def read() -> None:
        async for _ in batched(script.items(), window_s=HOUR_S):
            pass

    reader = asyncio.create_task(read())
    await settle()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert script.is_closed


async def test_started_raises_what_is_known_before_the_first_item() -> None:
    script = Script()
    script.say(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await started(script.items())


async def test_started_passes_everything_on_and_closes_the_source() -> None:
    script = Script()
    script.say(1, 2)
    stream = await started(script.items())
    assert [await anext(stream), await anext(stream)] == [1, 2]
    await stream.aclose()
    assert script.is_closed


def test_deltas_of_one_choice_are_joined_with_their_logprobs_and_end() -> None:
    logprobs = tuple(TokenLogprob(token=t, token_id=1, logprob=-1.0) for t in "ab")
    usage = Usage(prompt_tokens=1, completion_tokens=2)
    items = [
        ChatDelta(text="a", logprobs=logprobs[:1]),
        ChatDelta(text="b", logprobs=logprobs[1:]),
        ChatDelta(finish_reason="stop"),
        usage,
    ]
    whole = ChatDelta(text="ab", logprobs=logprobs, finish_reason="stop")
    assert joined(items) == [whole, usage]


def test_deltas_of_different_choices_stay_apart() -> None:
    items = [ChatDelta(index=0, text="a"), ChatDelta(index=1, text="b"), ChatDelta(text="c")]
    assert joined(items) == items


def test_text_and_reasoning_stay_in_order() -> None:
    items = [
        ChatDelta(reasoning="x"),
        ChatDelta(reasoning="y"),
        ChatDelta(text="a"),
        ChatDelta(),
        ChatDelta(reasoning="z"),
    ]
    assert joined(items) == [
        ChatDelta(reasoning="xy"),
        ChatDelta(text="a"),
        ChatDelta(reasoning="z"),
    ]


def test_tool_calls_are_not_joined() -> None:
    call = ChatDelta(tool_calls=(ToolCallDelta(index=0, arguments="{"),))
    items = [ChatDelta(text="a"), call, call, ChatDelta(text="b")]
    assert joined(items) == items


async def test_gathering_takes_everything_in_order() -> None:
    assert await gathered(counted(3)) == [0, 1, 2]


async def test_cancelled_gathering_closes_the_source() -> None:
    script = Script()
    gathering = asyncio.create_task(gathered(script.items()))
    await settle()
    gathering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gathering
    assert script.is_closed


async def test_progress_waits_for_more_of_it_and_for_nothing_else() -> None:
    def step(number: int) -> Progress:
        return Progress(phase="denoise", current=number, total=9)

    async def drawing() -> AsyncGenerator[Progress | str]:
        for number in range(1, 4):
            yield step(number)
            await asyncio.sleep(0)
        yield "done"
        # Whoever still waits for a window, or for the end, waits for ever.
        await asyncio.sleep(HOUR_S)

    lists: list[list[Progress | str]] = []
    async with asyncio.timeout(60):
        async for batch in batched(drawing(), window_s=HOUR_S, progress_window_s=HOUR_S):
            lists.append(batch)
            if "done" in batch:
                break
    told = [item for batch in lists for item in batch]
    assert told == [step(1), step(2), step(3), "done"]
    assert len(lists) == 2


def test_of_neighbouring_progress_the_last_is_kept() -> None:
    one, two = Progress(phase="load", current=1), Progress(phase="load", current=2)
    other = Progress(phase="draw", current=1)
    assert joined([one, two, other, "x", two]) == [two, other, "x", two]


class Parcel(Gatherable[int]):
    """A stream that can be had at once."""

    async def asend(self, value: None) -> int:
        raise AssertionError(value)

    async def athrow(self, *error: object) -> int:
        raise AssertionError(error)

    async def gathered(self) -> list[int]:
        return [7]


async def test_what_can_be_had_at_once_is_not_read_one_by_one() -> None:
    assert await gathered(Parcel()) == [7]


async def test_a_condensed_stream_says_the_same_in_fewer_items() -> None:
    count = 2 * MAX_WAITING + 5

    async def deltas() -> AsyncGenerator[ChatDelta | Usage]:
        for number in range(count):
            yield ChatDelta(index=0, text=f"{number} ")
        yield Usage(prompt_tokens=1, completion_tokens=count)

    *said, usage = await condensed(deltas())

    assert len(said) == 3
    assert "".join(one.text for one in said if isinstance(one, ChatDelta)) == "".join(
        f"{number} " for number in range(count)
    )
    assert isinstance(usage, Usage)


async def test_an_engine_that_never_waits_lets_others_run_while_it_is_condensed() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    await condensed(counted(10 * MAX_WAITING))
    running.cancel()

    assert turns >= 10


async def test_a_condensed_stream_is_closed_when_its_reader_is_stopped() -> None:
    script = Script()
    script.say(1)
    reading = asyncio.create_task(condensed(script.items()))
    await settle()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert script.is_closed
