"""The Velesio dialect as a value."""

from typing import Any

from serve_app.api.answers import Answers
from serve_app.api.dialect import JOB, Dialect, PathRule
from serve_app.api.served_files import ServedFiles
from serve_app.api.velesio import (
    chat,
    completions,
    embeddings,
    health,
    models,
    queue,
    tokens,
)
from serve_app.api.velesio.errors import error_object
from serve_app.api.velesio.job_object import JOBS, job_object
from serve_app.core.jobs import Job

TEXT = (completions, chat, embeddings)
OTHERS = (health, models, queue, tokens)
CHEAP = ("/props", "/tokenize", "/detokenize", "/template", "/apply-template")
"""One chat of LLM for Unity calls all of them."""
RULES = (
    PathRule("*", "/health", access="open", is_counted=False, is_logged=False),
    PathRule("GET", "/models", is_counted=False),
    PathRule("*", f"{JOBS}/*", rate_class="read"),
    *(PathRule("*", path, rate_class="read") for path in CHEAP),
    PathRule("POST", "/completion", category="llm"),
    PathRule("POST", "/completions", category="llm"),
    PathRule("POST", "/chat/completions", category="llm"),
    PathRule("POST", "/embeddings", rate_class="embeddings", category="embedding"),
    PathRule("POST", "/embedding", category="embedding"),
)
MODEL = {"model": "model"}
PROMPT = MODEL | {"messages": "messages", "tools": "tools"}
FORMAT = {"response_format": "response_format"}
FIELDS = {
    JOB: {"id": "id", "ref_id": "ref_id", "tag": "tag", "callback_url": "callback_url"},
    "chat": PROMPT | FORMAT | {"tool_choice": "tool_choice"},
    "complete": MODEL
    | FORMAT
    | {"prompts": "prompt", "suffix": "suffix", "best_of": "best_of", "echo": "echo"},
    "embed": MODEL | {"texts": "input", "dimensions": "dimensions"},
    "tokenize": MODEL | {"text": "content", "adds_specials": "add_special"},
    "detokenize": MODEL | {"ids": "tokens"},
    "render-prompt": PROMPT,
    "read-prompt-format": MODEL,
}
"""This dialect's names for the fields that errors and warnings may name."""


async def render_job(job: Job, dialect: Dialect, files: ServedFiles) -> dict[str, Any]:
    """The body of the callback when a job has ended."""
    return await job_object(job, dialect, files)


VELESIO = Dialect(
    name="velesio",
    prefixes=(
        *("/completion", "/completions", "/chat/completions", "/embeddings", "/embedding"),
        *("/health", "/models", "/queue", "/slots", *CHEAP),
    ),
    routes=[route for part in (*TEXT, *OTHERS) for route in part.router.routes],
    rules=RULES,
    render_error=error_object,
    render_job=render_job,
    answers=Answers(answer for part in TEXT for answer in part.ANSWERS),
    fields=FIELDS,
    jobs_path=JOBS,
)
