"""One choice of an answer while llama.cpp writes it."""

from typing import Any

from deployments.text.generation.answer import AnswerParser
from deployments.text.generation.text import StopStrings
from serve_app.core.text.chat import ChatDelta, FinishReason, TokenLogprob


class LlamaChoice:
    """Pieces of text in, deltas out. llama.cpp would not say which stop text ended an answer, so
    they are looked for here. `alternatives` is how many of them a log probability has.
    """

    def __init__(
        self, parser: AnswerParser, stop: tuple[str, ...], *, alternatives: int | None
    ) -> None:
        self.index = parser.index
        self.is_finished = False
        self.tokens = 0
        self.reasoning_tokens = 0
        self._parser = parser
        self._stop = StopStrings(stop)
        self._alternatives = alternatives

    def push(self, choice: dict[str, Any], tokens: int) -> list[ChatDelta]:
        """The deltas of one piece; `tokens` is how many the choice has with it."""
        if self.is_finished:
            return []
        is_reasoning = self._parser.is_reasoning
        if is_reasoning:
            self.reasoning_tokens += max(0, tokens - self.tokens)
        self.tokens = max(self.tokens, tokens)
        deltas = self._parser.push(self._stop.push(choice.get("text") or ""))
        entries = (choice.get("logprobs") or {}).get("content") or ()
        if entries and not is_reasoning:
            deltas = self._with_logprobs(deltas, entries)
        reason = choice.get("finish_reason")
        if self._stop.has_stopped or self._parser.is_done:
            return deltas + self._finish("stop")
        return (
            deltas + self._finish("length" if reason == "length" else "stop") if reason else deltas
        )

    def _finish(self, reason: FinishReason) -> list[ChatDelta]:
        """What was held back, and the end."""
        deltas = self._parser.push(self._stop.finish()) + self._parser.finish()
        self.is_finished = True
        is_call = reason == "stop" and self._parser.calls > 0
        last = ChatDelta(
            index=self.index,
            finish_reason="tool_calls" if is_call else reason,
            stop_word=self._stop.word,
        )
        return [*deltas, last]

    def _with_logprobs(self, deltas: list[ChatDelta], entries: Any) -> list[ChatDelta]:
        """They go with the text that they released, or alone while that is held back."""
        logprobs = tuple(
            token_of(entry).model_copy(update={"top": self._top(entry)}) for entry in entries
        )
        first = deltas[0] if deltas else ChatDelta(index=self.index)
        return [first.model_copy(update={"logprobs": logprobs}), *deltas[1:]]

    def _top(self, entry: dict[str, Any]) -> tuple[TokenLogprob, ...]:
        return tuple(token_of(top) for top in entry["top_logprobs"][: self._alternatives or 0])


def token_of(entry: dict[str, Any]) -> TokenLogprob:
    """A token as llama.cpp has it."""
    return TokenLogprob(
        token=entry["token"],
        token_id=entry["id"],
        logprob=entry["logprob"],
        token_bytes=bytes(entry["bytes"]),
    )
