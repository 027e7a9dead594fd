"""`Observed`: the record of one request, to which routes add what only they know."""

import time
from collections.abc import Sequence
from typing import Any

from serve_app.core.amounts import Amounts
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.jobs import Job
from serve_app.core.operation import Operation
from serve_app.core.text.chat import Chat, ChatDelta, CollectedText, Complete, Usage
from serve_app.core.text.embeddings import Embed
from serve_app.core.usage import StreamCount
from serve_app.observability.classes import (
    Category,
    Outcome,
    category_of_operation,
    outcome_of,
)

Headers = Sequence[tuple[bytes, bytes]]


class Observed:
    """One request from its first byte to its last. Durations are milliseconds."""

    __slots__ = (
        "_count",
        "_started_at",
        "_used",
        "category",
        "client",
        "completion_tokens",
        "extra",
        "first_ms",
        "has_left",
        "headers",
        "is_counted",
        "is_logged",
        "latency_ms",
        "may_pass",
        "method",
        "model",
        "path",
        "prompt_tokens",
        "provider",
        "query",
        "request_id",
        "scheme",
        "slot_wait_ms",
        "status",
        "token_id",
        "ts",
    )

    def __init__(self, method: str, path: str, *, request_id: str) -> None:
        self._started_at = time.perf_counter()
        self.ts = time.time()
        self.method = method
        self.path = path
        self.request_id = request_id
        self.is_counted = True
        self.is_logged = True
        self.query = b""
        self.scheme = "http"
        self.headers: Headers = ()
        self.client: str | None = None
        self.token_id: str | None = None
        self.category: Category | None = None
        self.model: str | None = None
        self.provider: str | None = None
        self.status: int | None = None
        self.may_pass = False
        self.has_left = False
        self.first_ms: float | None = None
        self.latency_ms = 0.0
        self.slot_wait_ms: float | None = None
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.extra: dict[str, Any] = {}
        self._count: StreamCount | None = None
        self._used: Amounts | None = None

    @property
    def elapsed_ms(self) -> float:
        """Since the request began."""
        return (time.perf_counter() - self._started_at) * 1000

    @property
    def outcome(self) -> Outcome:
        """The one class that it counts in."""
        return outcome_of(self.status or 500, may_pass=self.may_pass, has_left=self.has_left)

    def end(self) -> None:
        """The last byte was sent, or the client has left."""
        self.latency_ms = self.elapsed_ms
        if self.status is None:
            self.status = 499 if self.has_left else 500
        seconds = self.extra.get("audio_sec")
        if seconds:
            self.extra["rtf"] = round(self.latency_ms / 1000 / seconds, 4)

    def settle(self) -> Amounts | None:
        """What the models used that have answered the request itself; None when it is nothing.
        What jobs use is counted with them.
        """
        count, self._count = self._count, None
        counted = None if count is None else count.total()
        if counted is not None:
            # A stream that was cut off has not told all of its tokens.
            self.prompt_tokens = counted.prompt_tokens
            self.completion_tokens = counted.completion_tokens
            self._use(counted)
        return self._used

    def note_operation(self, operation: Operation[Any], *, is_streamed: bool) -> None:
        """What the request asks for."""
        if is_streamed:
            self._count = StreamCount(operation)
        self.category = category_of_operation(operation.name) or self.category
        self.model = getattr(operation, "model", None) or self.model
        match operation:
            case Chat():
                self.extra |= {"message_count": len(operation.messages), "stream": is_streamed}
            case Complete():
                self.extra |= {"prompt_count": len(operation.prompts), "stream": is_streamed}
            case Embed():
                self.extra["input_count"] = len(operation.texts) + len(operation.images)
            case Transcribe():
                self.extra |= {"request_audio_bytes": operation.audio.size, "stream": is_streamed}

    def note_ran(self, model: str, provider: str | None = None) -> None:
        """The model that has answered, where it is another than the one that was asked for."""
        self.model, self.provider = model, provider

    def note_item(self, item: object) -> None:
        """An item of a stream; nearly all say nothing that is kept."""
        if self._count is not None:
            self._count.take(item)
        if type(item) is not ChatDelta:
            self._note(item)

    def note_usage(self, answer: dict[str, Any], *, provider: str | None = None) -> None:
        """The `usage` of a whole answer; `provider` is who has given it."""
        self.provider = provider or self.provider
        usage = answer.get("usage") or {}
        read, written = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
        self.prompt_tokens += read
        self.completion_tokens += written
        of_prompt = usage.get("prompt_tokens_details") or {}
        of_completion = usage.get("completion_tokens_details") or {}
        self._use(
            Amounts(
                requests=1,
                prompt_tokens=read,
                completion_tokens=written,
                cached_tokens=of_prompt.get("cached_tokens") or 0,
                reasoning_tokens=of_completion.get("reasoning_tokens") or 0,
            )
        )

    def note_job(self, job: Job) -> None:
        """A job that the request has waited for."""
        if job.started_at is not None:
            self.slot_wait_ms = round(max(job.started_at - job.created_at, 0.0) * 1000, 3)
        items = job.result.events if isinstance(job.result, CollectedText) else (job.result,)
        for item in items:
            self._note(item)

    def _note(self, item: object) -> None:
        if isinstance(item, Usage):
            self.prompt_tokens += item.prompt_tokens
            self.completion_tokens += item.completion_tokens
        elif isinstance(item, Transcript):
            self.extra |= {
                "audio_sec": round(item.duration_s, 3),
                "detected_language": item.language,
            }

    def _use(self, amounts: Amounts) -> None:
        if self._used is None:
            self._used = amounts
        else:
            self._used.add(amounts)
