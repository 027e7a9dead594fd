"""Every route of the native dialect, in one list."""

from fastapi import APIRouter

from serve_app.api.v1 import files

router = APIRouter()
router.include_router(files.router)
