"""Requests in, events out: renders prompts, picks the way to decode, follows every choice."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from deployments.text.enforced_schema import enforced, warned
from deployments.text.generation.answer import THINK_END, AnswerParser
from deployments.text.generation.batching import ContinuousBatcher
from deployments.text.generation.checkpoint import TextCheckpoint
from deployments.text.generation.choice import Choice
from deployments.text.generation.constraint import ANY_OBJECT, Constraint, Constraints
from deployments.text.generation.decode import DecodeLoop, Decoding
from deployments.text.generation.prompt import Prompts
from deployments.text.generation.text import Detokenizer, StopStrings
from deployments.text.generation.tool_format import ToolFormat
from deployments.text.generation.vision import VisionInputs
from deployments.text.media_parts import refuse_unsupported_parts
from serve_app.core.errors import BackendUnavailable, ContextLengthExceeded, InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.options.sampling import SettledSampling, settled
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.chat import (
    Chat,
    ChatDelta,
    ChatEvent,
    Sampling,
    TextFormat,
    Usage,
)
from serve_app.runtime.threads import in_thread

PARALLEL_LOOPS = 2
LONG_TEXT = 20_000
"""Characters; reading a million takes half a second, for which the event loop must not wait."""


@dataclass(frozen=True)
class DecodingPlan:
    """A decoding and how to read what comes out of it."""

    decoding: Decoding
    parser: Callable[[int], AnswerParser]


class TextGenerator:
    """One loaded checkpoint at work."""

    def __init__(
        self, checkpoint: TextCheckpoint, options: TransformersOptions, blobs: BlobStore
    ) -> None:
        self.checkpoint = checkpoint
        self._sampling = options.sampling
        self.prompts = Prompts(
            checkpoint.tokenizer,
            checkpoint.chat_template,
            model_id=checkpoint.model_id,
            takes_parts=checkpoint.processor is not None,
        )
        self._vision = VisionInputs(checkpoint, blobs) if checkpoint.processor else None
        self._constraints = Constraints(
            checkpoint.tokenizer,
            vocabulary=checkpoint.vocabulary,
            eos_ids=sorted(checkpoint.eos_ids),
        )
        self.loop = DecodeLoop(checkpoint.model)
        self._is_closed = False
        self._threads = ThreadPoolExecutor(PARALLEL_LOOPS, thread_name_prefix="decode")
        self._batcher = ContinuousBatcher(
            checkpoint.model,
            vocabulary=checkpoint.vocabulary,
            eos_ids=checkpoint.eos_ids,
            pages=options.cache_blocks,
            max_batch_tokens=options.max_batch_tokens,
        )

    async def close(self) -> None:
        """Stop the threads; what runs ends at its next step."""
        self._is_closed = True
        await asyncio.to_thread(self._batcher.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        """The answer as it is generated, last the usage, as ChatModel has it."""
        refuse_unsupported_parts(request, sees=self._vision is not None)
        enforceable, warnings = await enforced(request)
        plan = await self._plan(request, enforceable)
        async with aclosing(self.events(plan.decoding, plan.parser)) as events:
            async for event in warned(events, warnings):
                yield event

    async def events(
        self, decoding: Decoding, parser: Callable[[int], AnswerParser], *, first: int = 0
    ) -> AsyncGenerator[ChatEvent]:
        """The deltas of a decoding, then its usage. Choices are numbered from `first`."""
        choices = [self._choice(decoding, parser(first + i)) for i in range(decoding.choices)]
        is_plain = decoding.constraint is None and decoding.inputs is None and decoding.limit > 0
        length = len(decoding.prompt) + decoding.limit
        if is_plain and self._batcher.supports(decoding.sampling) and self._batcher.fits(length):
            deltas = self._batched(decoding, choices)
        else:
            deltas = in_thread(lambda stop: self._looped(decoding, choices, stop), self._threads)
        try:
            async for delta in deltas:
                yield delta
        finally:
            await deltas.aclose()
        reasoning = sum(choice.reasoning_tokens for choice in choices)
        yield Usage(
            prompt_tokens=len(decoding.prompt),
            completion_tokens=sum(choice.tokens for choice in choices),
            reasoning_tokens=reasoning or None,
            fingerprint=self.checkpoint.fingerprint,
        )

    async def encoded(self, text: str, *, has_specials: bool) -> list[int]:
        """As `TextCheckpoint.encode`; a long text is encoded off the event loop."""
        encode = partial(self.checkpoint.encode, text, has_specials=has_specials)
        return encode() if len(text) < LONG_TEXT else await asyncio.to_thread(encode)

    def limit(self, prompt: list[int], sampling: Sampling, *, param: str) -> int:
        """How many tokens may come. ContextLengthExceeded when the prompt leaves room for none."""
        room = self.checkpoint.context_length - len(prompt)
        if room < 1:
            raise ContextLengthExceeded(
                f"the prompt has {len(prompt)} tokens",
                remedy=(
                    f"the context of {self.checkpoint.model_id!r} holds "
                    f"{self.checkpoint.context_length}"
                ),
                param=param,
            )
        return room if sampling.max_tokens is None else min(room, sampling.max_tokens)

    def settled(self, sampling: Sampling) -> SettledSampling:
        """With what the request leaves open as the configuration or the checkpoint says."""
        return settled(sampling, self._sampling, self.checkpoint.sampling)

    def check_bias(self, sampling: Sampling) -> None:
        """InvalidRequest for a biased token that the model does not have."""
        for token in sampling.logit_bias:
            if token >= self.checkpoint.vocabulary:
                raise InvalidRequest(
                    f"there is no token {token}",
                    remedy=f"the last is {self.checkpoint.vocabulary - 1}",
                    param="logit_bias",
                )

    def formatted(self, form: TextFormat, *, after: int | None = None) -> Constraint | None:
        """What holds an answer to a format, that begins behind the token `after`. Blocks, for up to
        seconds.
        """
        param = "response_format"
        match form.type:
            case "json_object":
                return self._constraints.json(ANY_OBJECT, param=param, after=after)
            case "json_schema":
                schema = form.json_schema or {}
                return self._constraints.json(schema, param=f"{param}.json_schema", after=after)
            case "grammar":
                return self._constraints.gbnf(form.grammar or "", param=param, after=after)
        return None

    def _looped(
        self, decoding: Decoding, choices: list[Choice], stop: Callable[[], bool]
    ) -> Iterator[ChatDelta]:
        is_open = [True] * len(choices)
        for step in self.loop.steps(decoding, stop, is_open):
            if self._is_closed:
                raise BackendUnavailable(
                    "the model was unloaded", remedy="try again", retry_after_s=1
                )
            choice = choices[step.index]
            yield from choice.push(step)
            is_open[step.index] = not choice.is_finished
        for choice in choices:
            yield from choice.finish("length")

    async def _batched(
        self, decoding: Decoding, choices: list[Choice]
    ) -> AsyncGenerator[ChatDelta]:
        deltas: asyncio.Queue[ChatDelta | None] = asyncio.Queue()

        async def follow(choice: Choice, number: int) -> None:
            steps = self._batcher.steps(
                decoding.prompt, decoding.sampling, index=number, limit=decoding.limit
            )
            try:
                async for step in steps:
                    for delta in choice.push(step):
                        deltas.put_nowait(delta)
                    if choice.is_finished:
                        return
                for delta in choice.finish("length"):
                    deltas.put_nowait(delta)
            finally:
                await steps.aclose()
                deltas.put_nowait(None)

        tasks = [asyncio.create_task(follow(choice, i)) for i, choice in enumerate(choices)]
        try:
            for _ in tasks:
                while (delta := await deltas.get()) is not None:
                    yield delta
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _plan(self, request: Chat, enforceable: Chat) -> DecodingPlan:
        """The model is shown the schemas as they came, and held to what is enforceable of them."""
        tools = () if request.tool_choice.mode == "none" else request.tools
        rendered = self.prompts.render(request, tools)
        self.check_bias(request.sampling)
        text, is_thinking = rendered.text, rendered.is_thinking
        call = constraint = None
        thought_end = self.checkpoint.token_of(THINK_END) if is_thinking else None
        if request.is_constrained:
            # A grammar takes up to seconds, for which the event loop must not wait.
            call = await asyncio.to_thread(self._forced, enforceable)
            constraint = call or await asyncio.to_thread(
                self.formatted, enforceable.response_format, after=thought_end
            )
        if is_thinking and constraint is not None and (call or thought_end is None):
            text, is_thinking = f"{text}{THINK_END}\n", False
        if call is not None:
            text += self.prompts.format.opening
        prompt, inputs = await self._inputs(request, text)
        decoding = Decoding(
            prompt,
            self.settled(request.sampling),
            request.sampling.n,
            self.limit(prompt, request.sampling, param="messages"),
            self.checkpoint.eos_ids,
            constraint,
            inputs,
        )
        several = request.parallel_tool_calls and call is None

        def parser(index: int) -> AnswerParser:
            form = self.prompts.format
            made = AnswerParser(index, tools, _open_ended(form, call), is_thinking, several)
            return made.inside_call() if call is not None else made

        return DecodingPlan(decoding, parser)

    async def _inputs(self, request: Chat, text: str) -> tuple[list[int], dict[str, Any] | None]:
        has_images = any(p.type == "image" for m in request.messages for p in m.content)
        if self._vision is not None and has_images:
            return await self._vision.read(request, text)
        return await self.encoded(text, has_specials=True), None

    def _forced(self, request: Chat) -> Constraint | None:
        """A constraint to one call, when the request wants a call in any case."""
        mode, name, tools = request.tool_choice.mode, request.tool_choice.name, request.tools
        if mode not in ("required", "function") or not tools:
            return None
        wanted = tuple(tool for tool in tools if mode == "required" or tool.name == name)
        schema = self.prompts.format.schema(wanted)
        return self._constraints.json(schema, param="tools")

    def _choice(self, decoding: Decoding, parser: AnswerParser) -> Choice:
        describe = self.checkpoint.describe if decoding.sampling.logprobs is not None else None
        return Choice(
            parser.index,
            Detokenizer(self.checkpoint.tokenizer, self.checkpoint.hidden_ids),
            StopStrings(decoding.sampling.stop),
            parser,
            limit=decoding.limit,
            describe=describe,
        )


def _open_ended(form: ToolFormat, call: Constraint | None) -> ToolFormat:
    """A forced call is the whole answer, so nothing closes it."""
    return form if call is None else replace(form, closing=None)
