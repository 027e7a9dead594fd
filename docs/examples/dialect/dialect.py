"""The dialect as a value: everything that the server knows about it."""

from serve_app.api.answers import Answers
from serve_app.api.dialect import JOB, Dialect, PathRule
from serve_app.api.lite import chat, images, tasks, transcripts
from serve_app.api.lite.task_object import callback_object, error_object

PARTS = (chat, images, transcripts)
RULES = (
    PathRule("POST", "/lite/chat", category="llm"),
    PathRule("POST", "/lite/images", category="image"),
    PathRule("POST", "/lite/transcripts", category="asr"),
    PathRule("*", "/lite/tasks/**", rate_class="read"),
)
FIELDS = {
    JOB: {"id": "task", "ref_id": "label", "callback_url": "report_to"},
    "chat": {"model": "engine", "messages": "turns"},
    "image.generation": {"model": "engine", "prompt": "wanted", "size": "pixels", "seed": "seed"},
    "audio.transcription": {"model": "engine", "audio": "recording", "language": "spoken"},
}
"""This dialect's names for the fields that errors and warnings may name."""

LITE = Dialect(
    name="lite",
    prefixes=("/lite",),
    routes=[route for part in (*PARTS, tasks) for route in part.router.routes],
    rules=RULES,
    render_error=error_object,
    render_job=callback_object,
    answers=Answers(answer for part in PARTS for answer in part.ANSWERS),
    sync_timeout_s=30,
    fields=FIELDS,
)
