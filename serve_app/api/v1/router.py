"""Every route of the native dialect, in one list."""

from fastapi import APIRouter

from serve_app.api.v1 import chat, completions, embeddings, files, models, rerank

router = APIRouter()
for part in (models, chat, completions, embeddings, rerank, files):
    router.include_router(part.router)
