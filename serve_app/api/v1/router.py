"""Every route of the native dialect, in one list."""

from fastapi import APIRouter

from serve_app.api.v1 import chat, files

router = APIRouter()
for part in (chat, files):
    router.include_router(part.router)
