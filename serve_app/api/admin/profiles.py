"""/admin/api/{characters,environments,voices}: saved profiles of everybody."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse

from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.json_answer import json_response
from serve_app.api.profile_objects import (
    LIST_KEYS,
    ProfilesDep,
    detail,
    summary,
    thumbnail,
    voice_object,
)
from serve_app.core.errors import Forbidden
from serve_app.profiles.profile import Kind

router = APIRouter(tags=["admin"])
KINDS: dict[str, Kind] = {key: kind for kind, key in LIST_KEYS.items()}


async def profile_kind(request: Request) -> Kind:
    """Which of the three a route is for, by its path."""
    return KINDS[request.url.path.split("/")[3]]


KindDep = Annotated[Kind, Depends(profile_kind)]


@router.get("/admin/api/characters")
@router.get("/admin/api/environments")
@router.get("/admin/api/voices")
async def list_profiles(kind: KindDep, context: ContextDep, profiles: ProfilesDep) -> Response:
    """List the profiles of all users, oldest first."""
    found = await profiles.all(kind)
    objects = [voice_object(context, p) if kind == "voice" else summary(p) for p in found]
    return json_response({LIST_KEYS[kind]: objects})


@router.get("/admin/api/characters/{name:path}/thumbnail")
@router.get("/admin/api/environments/{name:path}/thumbnail")
@router.get("/admin/api/voices/{name:path}/thumbnail")
async def read_thumbnail(
    name: str, kind: KindDep, context: ContextDep, profiles: ProfilesDep
) -> Response:
    """Read the first reference image; voices have none."""
    blob = thumbnail(await profiles.get(kind, name))
    headers = {"Content-Type": blob.mime, "Content-Length": str(blob.size)}
    return StreamingResponse(context.blobs.read(blob), headers=headers)


@router.get("/admin/api/characters/{name:path}")
@router.get("/admin/api/environments/{name:path}")
@router.get("/admin/api/voices/{name:path}")
async def read_profile(
    name: str, kind: KindDep, context: ContextDep, profiles: ProfilesDep
) -> Response:
    """Read one profile; images are data URLs."""
    profile = await profiles.get(kind, name)
    if kind == "voice":
        return json_response({"voice": voice_object(context, profile)})
    return json_response(detail(context, profile))


@router.delete("/admin/api/characters/{name:path}")
@router.delete("/admin/api/environments/{name:path}")
@router.delete("/admin/api/voices/{name:path}")
async def delete_profile(
    name: str, kind: KindDep, profiles: ProfilesDep, principal: PrincipalDep
) -> Response:
    """Delete a profile of any user."""
    if "admin" not in principal.scopes:
        raise Forbidden("this credential lacks the scope 'admin'")
    await profiles.delete(kind, name, by=principal)
    answer = {"deleted": True, "success": True} if kind == "voice" else {"ok": True}
    return json_response(answer | {"name": name})
