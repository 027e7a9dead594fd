"""Every route of the administration, in one list."""

from fastapi import APIRouter

from serve_app.api.admin import archive, pages, password, profiles, sign_in, tokens, users

router = APIRouter()
PARTS = (archive, profiles, sign_in, password, tokens, users, pages)
for part in PARTS:
    router.include_router(part.router)
