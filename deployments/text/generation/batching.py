"""Plain sampling for many requests at once: transformers' continuous batching, kept alive."""

import asyncio
import copy
import logging
import math
import threading
from collections.abc import AsyncGenerator
from itertools import chain, count
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig

from deployments.text.generation.decode import Step
from deployments.text.generation.sampling import GREEDY_BELOW
from serve_app.core.errors import BackendUnavailable
from serve_app.core.options.sampling import SettledSampling
from serve_app.runtime.limits import LimitPassed, within

logger = logging.getLogger(__name__)

PAGE_TOKENS = 256
DEFAULT_PAGES = 32


class ContinuousBatcher:
    """One background thread that decodes every request it is given together.

    The library allocates its cache once: a sequence that cannot fit would kill the thread, so
    `fits` must be asked first. A thread that died for any reason is replaced at the next request.
    """

    def __init__(
        self,
        model: Any,
        *,
        vocabulary: int,
        eos_ids: frozenset[int],
        pages: int | None,
        max_batch_tokens: int,
    ) -> None:
        self._model = copy_of(model)
        self._vocabulary = vocabulary
        self._eos_ids = eos_ids
        self._pages = pages or DEFAULT_PAGES
        self._max_batch_tokens = max_batch_tokens
        self._manager: Any = None
        self._lock = threading.Lock()
        self._numbers = count()

    def fits(self, tokens: int) -> bool:
        """Whether a sequence of that many tokens, prompt and answer, fits into the cache."""
        # One page is kept free: the scheduler holds back a safety margin.
        return math.ceil(tokens / PAGE_TOKENS) <= self._pages - 1

    @staticmethod
    def supports(sampling: SettledSampling) -> bool:
        """Whether all that is asked can be had per request: temperature, top_k and top_p only."""
        plain = SettledSampling(
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            stop=sampling.stop,
            max_tokens=sampling.max_tokens,
            n=sampling.n,
        )
        return plain == sampling

    async def steps(
        self, prompt: list[int], sampling: SettledSampling, *, index: int, limit: int
    ) -> AsyncGenerator[Step]:
        """The tokens of one choice as they come. Closing frees its place in the batch."""
        manager = await asyncio.to_thread(self._running)
        outputs: asyncio.Queue[Any] = asyncio.Queue()
        name = f"choice-{next(self._numbers)}"
        manager.register_result_handler(name, outputs.put_nowait)
        is_over = False
        seen = 0
        try:
            # Not in a thread: it would add the request even after its cancellation.
            if not self._add(manager, prompt, sampling, name=name, limit=limit):
                raise _stopped()
            while not is_over:
                output = await self._next(manager, outputs)
                is_over = output.is_finished()
                if output.error:
                    logger.error("continuous batching failed on a request: %s", output.error)
                    raise _stopped()
                for token in output.generated_tokens[seen:]:
                    yield Step(index, token, is_last=token in self._eos_ids)
                seen = len(output.generated_tokens)
        finally:
            if not is_over:
                manager.cancel_request(name)
                manager.output_router.result_handlers.pop(name, None)

    def close(self) -> None:
        """Stop the thread. Blocks until it has ended; may be called twice."""
        with self._lock:
            manager, self._manager = self._manager, None
        if manager is not None and manager.is_running():
            manager.stop(block=True, timeout=10, hard_stop=True)

    def _running(self) -> Any:
        with self._lock:
            if self._manager is not None and _takes_requests(self._manager):
                return self._manager
            if self._manager is not None:
                logger.warning("the continuous batching thread died; starting a new one")
            self._manager = self._started()
            return self._manager

    def _started(self) -> Any:
        # A processor exists only for a setting that is on by default; requests override the value.
        settings = GenerationConfig(
            do_sample=True,
            temperature=0.7,
            top_k=50,
            top_p=0.9,
            eos_token_id=sorted(self._eos_ids) or -1,
        )
        manager = self._model.init_continuous_batching(
            generation_config=settings,
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=PAGE_TOKENS,
                num_blocks=self._pages,
                max_batch_tokens=self._max_batch_tokens,
                use_cuda_graph=False,
                auto_switch_to_flash=False,
                per_request_processors=True,
            ),
        )
        manager.start()
        return manager

    def _add(
        self, manager: Any, prompt: list[int], sampling: SettledSampling, *, name: str, limit: int
    ) -> bool:
        is_greedy = sampling.temperature < GREEDY_BELOW
        top_k = 1 if is_greedy else min(sampling.top_k or self._vocabulary, self._vocabulary)
        accepted = manager.add_request(
            prompt,
            request_id=name,
            max_new_tokens=limit,
            streaming=True,
            eos_token_id=sorted(self._eos_ids) or -1,
            temperature=1.0 if is_greedy else sampling.temperature,
            top_k=top_k,
            top_p=sampling.top_p,
        )
        return accepted is not None

    async def _next(self, manager: Any, outputs: asyncio.Queue[Any]) -> Any:
        """The next output; a thread that died delivers none, so it is watched."""
        while True:
            try:
                async with within(1.0):
                    return await outputs.get()
            except LimitPassed:
                if not manager.is_running() and outputs.empty():
                    raise _stopped() from None


def copy_of(model: Any) -> Any:
    """The same weights in modules, and under a configuration, of their own.

    The library writes `is_causal: false` into the configuration while it computes a batch, its mask
    being another one; a decode loop in another thread would look ahead, and never stop doing so.
    """
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return copy.deepcopy(model, shared)


def _takes_requests(manager: Any) -> bool:
    """A thread that failed is alive for a moment longer, and takes nothing more."""
    return manager.is_running() and not manager.background_thread_status.can_accept_new_requests()


def _stopped() -> BackendUnavailable:
    return BackendUnavailable(
        "the text engine was interrupted", remedy="try again", retry_after_s=1
    )
