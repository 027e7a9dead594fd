"""The native dialect as a value."""

from typing import Any

from serve_app.api.dialect import Dialect, PathRule
from serve_app.api.errors import render_native
from serve_app.api.v1.fields import FIELDS
from serve_app.api.v1.jobs.job_object import job_object
from serve_app.api.v1.router import answers, routes
from serve_app.api.v1.sent_fields import SENT
from serve_app.blobs.store import FILES
from serve_app.core.errors import AppError

CHAT = "/v1/chat/completions"
RULES = (
    PathRule("*", "/healthz", access="open", is_counted=False, is_logged=False),
    PathRule("*", "/v1/health", access="open", is_counted=False, is_logged=False),
    PathRule("*", "/docs/**", access="open", is_counted=False),
    PathRule("*", "/redoc", access="open", is_counted=False),
    PathRule("*", "/openapi.json", access="open", is_counted=False),
    PathRule("*", "/coderai/capabilities", is_counted=False),
    PathRule("*", "/v1/models/**", is_counted=False),
    PathRule("*", "/v1/jobs/**", rate_class="read"),
    PathRule("*", "/v1/*/progress", rate_class="read"),
    PathRule("GET", "/v1/files/*", access="download", rate_class="read"),
    PathRule("GET", "/v1/files/*/*", rate_class="read"),
    PathRule("POST", CHAT, category="llm"),
    PathRule("POST", "/v1/completions", category="llm"),
    PathRule("*", "/v1/embeddings", rate_class="embeddings", category="embedding"),
    PathRule("*", "/v1/rerank", rate_class="embeddings", category="embedding"),
    PathRule("POST", "/v1/audio/transcriptions", category="asr"),
    PathRule("POST", "/v1/audio/translations", category="asr"),
    PathRule("POST", "/v1/audio/**", category="tts"),
    PathRule("POST", "/v1/images/**", category="image"),
    PathRule("POST", "/v1/video/**", category="video"),
    PathRule("POST", "/v1/pipelines/**", category="video"),
)


def render_error(error: AppError, path: str) -> dict[str, Any]:
    """The native shape and, for typed AI Server clients that call the chat route,
    `responseStatus`.
    """
    body = render_native(error)
    if path != CHAT:
        return body
    status = {"errorCode": error.code, "message": body["error"]["message"]}
    return body | {"responseStatus": status}


V1 = Dialect(
    name="v1",
    prefixes=("/v1", "/coderai", "/healthz", "/docs", "/redoc", "/openapi.json"),
    routes=routes,
    rules=RULES,
    render_error=render_error,
    render_job=job_object,
    answers=answers,
    file_paths=(f"{FILES}/*",),
    fields=FIELDS,
    sent=SENT,
    is_native=True,
    jobs_path="/v1/jobs",
)
