"""The categories of requests and of their outcomes."""

from typing import Literal

Category = Literal["asr", "llm", "tts", "image", "video", "embedding"]
Outcome = Literal["2xx", "4xx", "5xx", "503-busy", "client-disconnect"]
OUTCOMES: tuple[Outcome, ...] = ("2xx", "4xx", "5xx", "503-busy", "client-disconnect")
OTHER = "other"
"""The class of jobs, files, profiles and everything else that is no work of a model."""

OPERATIONS: tuple[tuple[str, Category], ...] = (
    ("chat", "llm"),
    ("complete", "llm"),
    ("translate", "llm"),
    ("tokenize", "llm"),
    ("detokenize", "llm"),
    ("render-prompt", "llm"),
    ("read-prompt-format", "llm"),
    ("embed", "embedding"),
    ("rerank", "embedding"),
    ("audio.transcription", "asr"),
    ("audio.", "tts"),
    ("image.", "image"),
    ("video.", "video"),
    ("pipeline.", "video"),
)


def category_of_operation(name: str) -> Category | None:
    """The category of an operation by its public name; it is surer than that of the path."""
    return next((category for start, category in OPERATIONS if name.startswith(start)), None)


def outcome_of(status: int, *, may_pass: bool, has_left: bool) -> Outcome:
    """Exactly one class. A 503 that says when to come back (`may_pass`) is busy, not broken."""
    if has_left:
        return "client-disconnect"
    if status == 503 and may_pass:
        return "503-busy"
    if status >= 500:
        return "5xx"
    return "4xx" if status >= 400 else "2xx"
