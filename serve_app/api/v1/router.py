"""Every route of the native dialect, in one list."""

from fastapi import APIRouter

from serve_app.api.v1 import (
    archive,
    chat,
    completions,
    embeddings,
    files,
    models,
    pipelines,
    rerank,
    speech,
    transcriptions,
)

router = APIRouter()
PARTS = (
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
)
for part in PARTS:
    router.include_router(part.router)
