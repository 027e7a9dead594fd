"""vLLM's streamed answers and error objects as core deltas and errors. Pure: needs no vLLM.

The frames are OpenAI's `chat.completion.chunk` and `text_completion` with vLLM's additions
(`reasoning`, `token_ids`); an error inside a stream is a frame `{"error": {…}}`.
"""

import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import Any, cast, get_args

from serve_app.core.errors import (
    AppError,
    Cancelled,
    ContextLengthExceeded,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    Unavailable,
    UnsupportedCapability,
)
from serve_app.core.text.chat import (
    ChatDelta,
    ChatEvent,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)

logger = logging.getLogger(__name__)

PROVIDER = "vllm"
UNKNOWN_TOKEN = -1
"""vLLM names alternatives by their text only."""

OVERFLOW = re.compile(
    r"maximum context length|maximum model length|max_model_len|context length of only"
    r"|longer than the maximum",
    re.IGNORECASE,
)


async def silenced(events: AsyncIterator[ChatEvent]) -> AsyncGenerator[ChatEvent]:
    """The events of an answer of one token, as if none had been asked for: vLLM refuses to read a
    prompt alone.
    """
    async for event in events:
        if isinstance(event, Usage):
            yield event.model_copy(update={"completion_tokens": 0})
        elif event.finish_reason is not None:
            yield ChatDelta(index=event.index, finish_reason="length")


class StreamReader:
    """Reads one answer's frames in order; `fingerprint` goes into its Usage."""

    def __init__(self, *, fingerprint: str, prompt_param: str) -> None:
        self._fingerprint = fingerprint
        self._prompt_param = prompt_param
        self._calling: set[int] = set()

    def events(self, item: object) -> Iterator[ChatEvent]:
        """What one item of LLMServer's stream says: a list of frames or of error objects, or one.

        Raises the AppError that an error stands for.
        """
        if isinstance(item, list | tuple):
            for part in item:
                yield from self.events(part)
        elif isinstance(item, str):
            for frame in _frames(item):
                yield from self._frame(frame)
        else:
            raise error_of(item, prompt_param=self._prompt_param)

    def _frame(self, frame: dict[str, Any]) -> Iterator[ChatEvent]:
        if "error" in frame:
            raise error_of(frame, prompt_param=self._prompt_param)
        for choice in frame.get("choices") or ():
            yield from self._choice(choice)
        if not frame.get("choices") and frame.get("usage"):
            yield self._usage(frame["usage"])

    def _choice(self, choice: dict[str, Any]) -> Iterator[ChatDelta]:
        """At most one delta; those that say nothing, as the first with its role, are left out."""
        delta = choice.get("delta")
        message = delta or {"content": choice.get("text")}
        calls = tuple(map(_call, message.get("tool_calls") or ()))
        index = int(choice.get("index") or 0)
        if calls:
            self._calling.add(index)
        chat = delta is not None
        # The id of a token where one has ended the answer.
        stopped = choice.get("stop_reason")
        result = ChatDelta(
            index=index,
            text=message.get("content") or "",
            reasoning=message.get("reasoning") or message.get("reasoning_content") or "",
            tool_calls=calls,
            logprobs=_chat_logprobs(choice) if chat else _text_logprobs(choice),
            finish_reason=self._finish_reason(choice.get("finish_reason"), index),
            stop_word=stopped if isinstance(stopped, str) else None,
        )
        if result != ChatDelta(index=index):
            yield result

    def _finish_reason(self, reason: str | None, index: int) -> FinishReason | None:
        """After a call that was forced vLLM says `stop`, and it has reasons of its own."""
        if reason is None:
            return None
        if reason == "abort":
            raise Cancelled("the engine aborted the request", provider=PROVIDER)
        if reason == "error":
            raise InternalError("the engine failed in the middle of the answer", provider=PROVIDER)
        if reason == "stop" and index in self._calling:
            return "tool_calls"
        return cast("FinishReason", reason) if reason in get_args(FinishReason) else "stop"

    def _usage(self, usage: dict[str, Any]) -> Usage:
        prompt = usage.get("prompt_tokens_details") or {}
        completion = usage.get("completion_tokens_details") or {}
        return Usage(
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage.get("completion_tokens") or 0,
            cached_tokens=prompt.get("cached_tokens"),
            reasoning_tokens=completion.get("reasoning_tokens"),
            fingerprint=self._fingerprint,
        )


def error_of(error: object, *, prompt_param: str) -> AppError:
    """The AppError for vLLM's ErrorResponse, as an object or as JSON.

    Only what the caller can act on is said; the rest goes to the log.
    """
    fields = _error_fields(error)
    message, code, param = str(fields.get("message")), fields.get("code"), fields.get("param")
    text = message[:1].lower() + message[1:]
    status = code if isinstance(code, int) else 500
    if param == "input_tokens" or OVERFLOW.search(message):
        return ContextLengthExceeded(text, param=prompt_param, provider=PROVIDER)
    if status == 404:
        return ModelNotFound(text, param="model", provider=PROVIDER)
    if status == 501:
        return UnsupportedCapability(text, param=param, provider=PROVIDER)
    if status == 499:
        return Cancelled(text, provider=PROVIDER)
    if 400 <= status < 500:
        return InvalidRequest(text, param=param, provider=PROVIDER)
    logger.error("vllm: %s", message)
    if status == 503:
        return Unavailable("the engine is overloaded", provider=PROVIDER, retry_after_s=5)
    return InternalError("the engine failed", remedy="the server's log says why", provider=PROVIDER)


def _error_fields(error: object) -> dict[str, Any]:
    """The inner object of `{"error": {…}}`, which older releases leave flat."""
    dump = getattr(error, "model_dump", None)
    fields = dump() if callable(dump) else error
    if not isinstance(fields, dict):
        return {"message": f"unexpected {type(error).__name__} in the stream"}
    inner = fields.get("error", fields)
    return inner if isinstance(inner, dict) else {"message": str(inner)}


def _frames(text: str) -> Iterator[dict[str, Any]]:
    # Not splitlines: it also cuts at U+2028 and its kin, which JSON text may hold.
    for line in text.split("\n"):
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data and data != "[DONE]":
            yield json.loads(data)


def _call(call: dict[str, Any]) -> ToolCallDelta:
    function = call.get("function") or {}
    return ToolCallDelta(
        index=call["index"],
        id=call.get("id") if function.get("name") else None,
        name=function.get("name"),
        arguments=function.get("arguments") or "",
    )


def _chat_logprobs(choice: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    content = (choice.get("logprobs") or {}).get("content") or ()
    ids = _ids(choice, len(content))
    return tuple(
        _token(entry, token_id, tuple(_token(top) for top in entry.get("top_logprobs") or ()))
        for entry, token_id in zip(content, ids, strict=True)
    )


def _token(
    entry: dict[str, Any],
    token_id: int = UNKNOWN_TOKEN,
    top: tuple[TokenLogprob, ...] = (),
) -> TokenLogprob:
    return TokenLogprob(
        token=entry["token"],
        token_id=token_id,
        logprob=entry["logprob"],
        token_bytes=bytes(entry.get("bytes") or entry["token"].encode()),
        top=top,
    )


def _text_logprobs(choice: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    """The columns of a text completion; the first token of an echo has no probability."""
    columns = choice.get("logprobs") or {}
    tokens = columns.get("tokens") or ()
    tops = columns.get("top_logprobs") or [None] * len(tokens)
    rows = zip(tokens, columns.get("token_logprobs") or (), tops, strict=True)
    return tuple(
        TokenLogprob(
            token=token,
            token_id=token_id,
            logprob=logprob,
            token_bytes=token.encode(),
            top=_best_first((top or {}).items()),
        )
        for (token, logprob, top), token_id in zip(rows, _ids(choice, len(tokens)), strict=True)
    )


def _best_first(items: Iterable[tuple[str, float]]) -> tuple[TokenLogprob, ...]:
    return tuple(
        _token({"token": token, "logprob": logprob})
        for token, logprob in sorted(items, key=lambda item: -item[1])
    )


def _ids(choice: dict[str, Any], count: int) -> list[int]:
    """The chosen tokens' ids, which come beside the text; unknown where they do not match it."""
    ids = choice.get("token_ids") or []
    return list(ids) if len(ids) == count else [UNKNOWN_TOKEN] * count
