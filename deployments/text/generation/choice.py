"""One choice while it is written: tokens in, deltas out, and why it ended."""

from collections.abc import Callable

from deployments.text.generation.answer import AnswerParser
from deployments.text.generation.decode import Step
from deployments.text.generation.text import Detokenizer, StopStrings
from serve_app.core.text.chat import ChatDelta, FinishReason, TokenLogprob

Describe = Callable[[int, float | None], TokenLogprob]
"""A token id and its log probability, with the token's text and bytes."""


class Choice:
    """Not shared between threads. `limit` is the largest number of tokens."""

    def __init__(
        self,
        index: int,
        detokenizer: Detokenizer,
        stop: StopStrings,
        parser: AnswerParser,
        *,
        limit: int,
        describe: Describe | None,
    ) -> None:
        self.index = index
        self.tokens = 0
        self.reasoning_tokens = 0
        self.finish_reason: FinishReason | None = None
        self.logprob_sum = 0.0
        self._detokenizer = detokenizer
        self._stop = stop
        self._parser = parser
        self._limit = limit
        self._describe = describe

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will come."""
        return self.finish_reason is not None

    def push(self, step: Step) -> list[ChatDelta]:
        """The deltas of one more token; the last one has a finish reason."""
        if self.is_finished:
            return []
        if step.is_last:
            return self.finish("stop")
        self.tokens += 1
        self.logprob_sum += step.logprob or 0.0
        is_reasoning = self._parser.is_reasoning
        self.reasoning_tokens += is_reasoning
        text = self._stop.push(self._detokenizer.push(step.token))
        deltas = self._parser.push(text)
        if self._describe is not None and not is_reasoning:
            deltas = self._with_logprobs(deltas, step)
        if self._stop.has_stopped or self._parser.is_done:
            return deltas + self.finish("stop")
        return deltas + self.finish("length") if self.tokens >= self._limit else deltas

    def finish(self, reason: FinishReason) -> list[ChatDelta]:
        """What was held back, and the end."""
        if self.is_finished:
            return []
        rest = self._stop.push(self._detokenizer.finish()) + self._stop.finish()
        deltas = self._parser.push(rest) + self._parser.finish()
        is_call = reason == "stop" and self._parser.calls > 0
        self.finish_reason = "tool_calls" if is_call else reason
        last = ChatDelta(
            index=self.index, finish_reason=self.finish_reason, stop_word=self._stop.word
        )
        return [*deltas, last]

    def _with_logprobs(self, deltas: list[ChatDelta], step: Step) -> list[ChatDelta]:
        """The token's entry goes with the text it released, or alone while that is held back."""
        assert self._describe is not None
        top = tuple(self._describe(token, value) for token, value in step.top)
        entry = self._describe(step.token, step.logprob).model_copy(update={"top": top})
        first = deltas[0] if deltas else ChatDelta(index=self.index)
        return [first.model_copy(update={"logprobs": (entry,)}), *deltas[1:]]
