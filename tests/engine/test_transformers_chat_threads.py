import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaForCausalLM

from deployments.text.generation.batching import copy_of
from serve_app.core.errors import BackendUnavailable, ContextLengthExceeded
from serve_app.core.text.chat import Sampling
from tests.engine.tiny_chat import (
    POSITIONS,
    Direct,
    ask,
    continuing,
    engine_of,
    read,
    save_chat,
)

GREEDY = Sampling(temperature=0.0, max_tokens=12)
LOOPED = GREEDY.model_copy(update={"seed": 7})
BOTH_WAYS = pytest.mark.parametrize("sampling", [GREEDY, LOOPED], ids=["batched", "looped"])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_chat(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module")
def direct(checkpoint: Path) -> Direct:
    return Direct(checkpoint)


@contextmanager
def before_each(kind: type[torch.nn.Module], act: Callable[[], None]) -> Iterator[None]:
    """Does something whenever a module of this kind is about to compute, in any thread."""

    def hook(module: torch.nn.Module, arguments: Any) -> None:
        if isinstance(module, kind):
            act()

    handle = register_module_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


class Passes:
    """Counts the passes through the model and makes each take a while."""

    def __init__(self, pause_s: float = 0.004) -> None:
        self.count = 0
        self._pause_s = pause_s

    def __call__(self) -> None:
        self.count += 1
        time.sleep(self._pause_s)

    async def settled(self) -> int:
        """How many there were, once no more come."""
        before = -1
        while before != self.count:
            before = self.count
            await asyncio.sleep(0.1)
        return before


def expected(direct: Direct, question: str, count: int = 12) -> str:
    return direct.text(direct.continued(direct.prompt(question), count))


async def test_loops_beside_a_running_batch_never_look_ahead(
    checkpoint: Path, direct: Direct
) -> None:
    engine = engine_of(checkpoint)
    question = "one two three " * 10
    long = GREEDY.model_copy(update={"max_tokens": 300})
    with before_each(LlamaAttention, lambda: time.sleep(0.001)):
        async with aclosing(engine.chat(ask("the sea", sampling=long))) as batched:
            await anext(batched)
            answers = await asyncio.gather(
                *(read(engine.chat(ask(question, sampling=LOOPED))) for _ in range(6))
            )
    answers.append(await read(engine.chat(ask(question, sampling=LOOPED))))
    await engine.close()
    assert {answer.text() for answer in answers} == {expected(direct, question)}


def test_a_twin_has_the_same_weights_and_its_own_configuration(checkpoint: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(checkpoint)
    twin = copy_of(model)
    places = [tensor.data_ptr() for tensor in model.parameters()]
    assert [tensor.data_ptr() for tensor in twin.parameters()] == places
    assert twin.config is twin.model.config
    assert twin.config is not model.config


@BOTH_WAYS
async def test_closing_a_stream_stops_the_work(
    checkpoint: Path, direct: Direct, sampling: Sampling
) -> None:
    engine = engine_of(checkpoint)
    endless = sampling.model_copy(update={"max_tokens": None})
    passes = Passes()
    with before_each(LlamaForCausalLM, passes):
        streams = [engine.chat(ask(sampling=endless)) for _ in range(4)]
        await asyncio.gather(*(anext(stream) for stream in streams[:2]))
        for stream in streams[:2]:
            await stream.aclose()
        answer = await read(engine.chat(ask("Why?", sampling=sampling)))
        assert await passes.settled() < POSITIONS / 2
    await engine.close()
    assert answer.text() == expected(direct, "Why?")


@BOTH_WAYS
async def test_a_cancelled_reader_stops_the_work(
    checkpoint: Path, direct: Direct, sampling: Sampling
) -> None:
    engine = engine_of(checkpoint)
    endless = sampling.model_copy(update={"max_tokens": None, "n": 2})
    passes = Passes()
    with before_each(LlamaForCausalLM, passes):
        reader = asyncio.create_task(read(engine.chat(ask(sampling=endless))))
        while passes.count < 5:
            await asyncio.sleep(0.01)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert await passes.settled() < POSITIONS / 2
    answer = await read(engine.chat(ask("Why?", sampling=sampling)))
    await engine.close()
    assert answer.text() == expected(direct, "Why?")


async def test_a_batch_that_breaks_fails_its_requests_and_serves_the_next(
    checkpoint: Path, direct: Direct
) -> None:
    engine = engine_of(checkpoint)
    assert (await read(engine.chat(ask(sampling=GREEDY)))).text() == expected(direct, "hi")
    failures = 0

    def fail() -> None:
        nonlocal failures
        failures += 1
        raise RuntimeError("device lost")

    with before_each(LlamaForCausalLM, fail):
        results = await asyncio.gather(
            *(read(engine.chat(ask(sampling=GREEDY))) for _ in range(3)), return_exceptions=True
        )
    assert failures > 0
    for result in results:
        assert isinstance(result, BackendUnavailable)
        assert result.retry_after_s == 1
        assert "device lost" not in result.message
    for question in ("hi", "Why?"):
        answer = await read(engine.chat(ask(question, sampling=GREEDY)))
        assert answer.text() == expected(direct, question)
    await engine.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_batching_thread_that_ended_is_replaced(checkpoint: Path, direct: Direct) -> None:
    engine = engine_of(checkpoint)
    await read(engine.chat(ask(sampling=GREEDY)))
    before = set(threading.enumerate())

    def end() -> None:
        # Ends the thread past every `except Exception` of the library.
        raise SystemExit

    with before_each(LlamaForCausalLM, end), pytest.raises(BackendUnavailable):
        await read(engine.chat(ask(sampling=GREEDY)))
    answer = await read(engine.chat(ask("Why?", sampling=GREEDY)))
    assert set(threading.enumerate()) - before
    await engine.close()
    assert answer.text() == expected(direct, "Why?")


@BOTH_WAYS
async def test_a_closed_engine_answers_nobody_and_hangs_nobody(
    checkpoint: Path, sampling: Sampling
) -> None:
    engine = engine_of(checkpoint)
    endless = sampling.model_copy(update={"max_tokens": None})
    passes = Passes()
    with before_each(LlamaForCausalLM, passes):
        readers = [asyncio.create_task(read(engine.chat(ask(sampling=endless)))) for _ in range(4)]
        while passes.count < 5:
            await asyncio.sleep(0.01)
        await engine.close()
        await engine.close()
        results = await asyncio.gather(*readers, return_exceptions=True)
    assert all(isinstance(result, BackendUnavailable) for result in results)
    with pytest.raises(BackendUnavailable, match="unloaded") as caught:
        await read(engine.chat(ask(sampling=sampling)))
    assert caught.value.retry_after_s


@pytest.mark.parametrize("kind", ["chat", "completion"])
async def test_a_stream_that_is_closed_has_stopped_its_thread(checkpoint: Path, kind: str) -> None:
    passes = Passes()
    engine = engine_of(checkpoint)
    sampling = LOOPED.model_copy(update={"max_tokens": 200})
    with before_each(LlamaForCausalLM, passes):
        stream = (
            engine.chat(ask(sampling=sampling))
            if kind == "chat"
            else engine.complete(continuing("hi", sampling=sampling, best_of=None))
        )
        await anext(stream)
        await stream.aclose()
        count = passes.count
        time.sleep(0.1)
        assert passes.count == count
    await engine.close()


async def test_reading_a_long_prompt_leaves_the_loop_to_others(checkpoint: Path) -> None:
    engine = engine_of(checkpoint)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    for refused in (
        read(engine.chat(ask("word " * 200_000))),
        read(engine.complete(continuing("word " * 200_000, sampling=LOOPED))),
    ):
        before = turns
        with pytest.raises(ContextLengthExceeded):
            await refused
        assert turns > before + 20
    beside.cancel()
    await engine.close()
