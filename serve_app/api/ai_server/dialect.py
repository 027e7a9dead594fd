"""The dialect as a value."""

from collections.abc import Mapping

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from serve_app.api.ai_server import artifacts, chat, model_lists, operations, results, status
from serve_app.api.ai_server.calls import JSON_TYPE
from serve_app.api.ai_server.job_objects import callback_object
from serve_app.api.ai_server.service_error import ERRORS, error_object, error_status
from serve_app.api.ai_server.table import ROWS
from serve_app.api.answers import Answers
from serve_app.api.dialect import JOB, Dialect, OwnNames, PathRule

SYNC_TIMEOUT_S = 60
READS = (
    "GetArtifactGenerationStatus",
    "GetTextGenerationStatus",
    "GetOpenAiChatStatus",
    "GetOpenAiChat",
    "WaitForOpenAiChat",
    "GetGeneration",
    "GetArtifact",
    "GetVariant",
)
RULES = (
    PathRule("*", "/up", access="open", is_counted=False, is_logged=False),
    PathRule("GET", "/artifacts/input/**", rate_class="read"),
    PathRule("GET", "/artifacts/**", access="artifact", rate_class="read"),
    PathRule("GET", "/variants/**", access="artifact", rate_class="read"),
    PathRule("GET", "/generation/**", rate_class="read"),
    *(PathRule("*", f"/api/{name}", rate_class="read") for name in READS),
    PathRule("*", "/api/OpenAiChatCompletion", category="llm"),
    PathRule("*", "/api/QueueOpenAiChatCompletion", category="llm"),
    *(
        PathRule("*", f"/api/{name}", category=row.category)
        for row in ROWS
        for name in (row.name, row.queue_name)
    ),
)
IMAGE = {"model": "Model", "seed": "Seed"}
GENERATION = {
    **IMAGE,
    "prompt": "PositivePrompt",
    "negative_prompt": "NegativePrompt",
    "count": "BatchSize",
    "steps": "Arguments",
    "guidance_scale": "Arguments",
    "scheduler": "Arguments",
}
EDIT = GENERATION | {"strength": "Denoise", "image": "Image"}
FIELDS: Mapping[str, Mapping[str, OwnNames]] = {
    JOB: {"id": "JobId", "ref_id": "RefId", "tag": "Tag", "callback_url": "ReplyTo"},
    "image.generation": {**GENERATION, "size": ("Width", "Height")},
    "image.edit": EDIT,
    "image.inpaint": EDIT | {"mask": "Mask"},
    "image.upscale": {"image": "Image"},
    "image.description": {"model": "Model", "image": "Image", "question": "Prompt"},
    "image.process": {"image": "Image", "steps": "Steps"},
    "video.process": {"video": "Video", "steps": "Steps"},
    "audio.process": {"audio": "Audio", "steps": "Steps"},
    "audio.transcription": {"audio": "Audio"},
    "audio.speech": {"model": "Model", "text": "Input", "voice": "Model", "seed": "Seed"},
    "chat": {
        "model": "Model",
        "messages": "Messages",
        "tools": "Tools",
        "tool_choice": "ToolChoice",
        "response_format": "ResponseFormat",
    },
}
"""This dialect's names for the fields that errors and warnings may name."""
router = APIRouter(tags=["models"], responses=ERRORS)


@router.get("/up", response_class=PlainTextResponse)
async def up() -> PlainTextResponse:
    """Check that the server is alive; needs no credential."""
    return PlainTextResponse("Healthy")


AI_SERVER = Dialect(
    name="api",
    prefixes=("/api", "/json/reply", "/artifacts", "/variants", "/files", "/generation", "/up"),
    routes=[
        *operations.ROUTES,
        *chat.ROUTES,
        *status.ROUTES,
        *artifacts.ROUTES,
        *model_lists.ROUTES,
        *router.routes,
    ],
    rules=RULES,
    render_error=error_object,
    render_job=callback_object,
    answers=Answers((*results.ANSWERS, *chat.ANSWERS)),
    file_paths=("/artifacts/**",),
    sync_timeout_s=SYNC_TIMEOUT_S,
    fields=FIELDS,
    error_status=error_status,
    json_type=JSON_TYPE,
)
