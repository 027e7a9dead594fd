"""Which class a request and its outcome count as."""

import re
from typing import Literal

Category = Literal["asr", "llm", "tts", "image", "video", "embedding"]
Outcome = Literal["2xx", "4xx", "5xx", "503-busy", "client-disconnect"]
OUTCOMES: tuple[Outcome, ...] = ("2xx", "4xx", "5xx", "503-busy", "client-disconnect")
OTHER = "other"
"""The class of jobs, files, profiles and everything else that is no work of a model."""

PATHS: tuple[tuple[re.Pattern[str], Category], ...] = (
    (re.compile(r"(/v1)?/(chat/completions|completions?)"), "llm"),
    (re.compile(r"(/v1)?/embeddings?|/v1/rerank"), "embedding"),
    (re.compile(r"/v1/audio/(transcriptions|translations)"), "asr"),
    (re.compile(r"/v1/audio/.+"), "tts"),
    (re.compile(r"/v1/images/.+|/sdapi/v1/(txt2img|img2img)"), "image"),
    (re.compile(r"/v1/(video|pipelines)/.+"), "video"),
)
"""For requests that were refused before they became an operation."""
OPERATIONS: tuple[tuple[str, Category], ...] = (
    ("chat", "llm"),
    ("complete", "llm"),
    ("translate", "llm"),
    ("embed", "embedding"),
    ("rerank", "embedding"),
    ("audio.transcription", "asr"),
    ("audio.", "tts"),
    ("image.", "image"),
    ("video.", "video"),
    ("pipeline.", "video"),
)
PROBES = frozenset({"/health", "/healthz", "/v1/health", "/up", "/metrics"})
UNCOUNTED = PROBES | {
    *("/v1/models", "/models", "/coderai/capabilities", "/sdapi/v1/sd-models"),
    *("/login", "/logout", "/docs", "/redoc", "/openapi.json", "/admin"),
}
UNCOUNTED_PREFIXES = ("/admin/", "/v1/models/", "/docs/", "/api/v2/ai/")


def category_of_path(method: str, path: str) -> Category | None:
    """The category of a request that asks for work."""
    if method != "POST":
        return None
    return next((category for known, category in PATHS if known.fullmatch(path)), None)


def category_of_operation(name: str) -> Category | None:
    """The category of an operation by its public name; it is surer than the path."""
    return next((category for start, category in OPERATIONS if name.startswith(start)), None)


def is_counted(method: str, path: str) -> bool:
    """Whether a request enters the metrics and may be captured. Administration never does: its
    bodies hold passwords and keys.
    """
    return not (method == "OPTIONS" or path in UNCOUNTED or path.startswith(UNCOUNTED_PREFIXES))


def is_logged(method: str, path: str) -> bool:
    """Whether a request has a line in the access log: all but probes and preflights."""
    return method != "OPTIONS" and path not in PROBES


def outcome_of(status: int, *, may_pass: bool, has_left: bool) -> Outcome:
    """Exactly one class. A 503 that says when to come back (`may_pass`) is busy, not broken."""
    if has_left:
        return "client-disconnect"
    if status == 503 and may_pass:
        return "503-busy"
    if status >= 500:
        return "5xx"
    return "4xx" if status >= 400 else "2xx"
