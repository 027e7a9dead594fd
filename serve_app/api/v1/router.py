"""Every route of the native dialect, in one list."""

from fastapi import APIRouter

from serve_app.api.v1 import (
    archive,
    chat,
    completions,
    embeddings,
    files,
    jobs,
    models,
    pipelines,
    profiles,
    rerank,
    speech,
    transcriptions,
    voices,
)

router = APIRouter()
PARTS = (
    jobs,
    models,
    chat,
    completions,
    embeddings,
    rerank,
    speech,
    transcriptions,
    pipelines,
    files,
    archive,
    profiles,
    voices,
)
for part in PARTS:
    router.include_router(part.router)
