"""/v1/characters and /v1/environments: saved reference images, by name."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from serve_app.api.call import CallDep
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.json_answer import json_response
from serve_app.api.profile_objects import LIST_KEYS, ProfilesDep, detail, summary
from serve_app.api.v1.library.profile_body import (
    ExtractBody,
    GenerateBody,
    ProfileBody,
    ProfilePatch,
    profile_images,
)
from serve_app.api.v1.library.profile_generation import (
    check_may_replace,
    generated_images,
    profile_items,
)
from serve_app.api.v1.wire import ERRORS
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.face_swap import ExtractImages
from serve_app.core.media import Blob, MediaKind
from serve_app.profiles.profile import (
    Kind,
    NewProfileItem,
    Profile,
    ProfileChange,
    check_count,
    checked_name,
)

router = APIRouter(tags=["profiles"], responses=ERRORS)


async def image_kind(request: Request) -> Kind:
    """Which of the two a route is for, by its path."""
    return "environment" if request.url.path.startswith("/v1/environments") else "character"


KindDep = Annotated[Kind, Depends(image_kind)]


@router.post("/v1/characters")
@router.post("/v1/environments")
async def save_profile(
    body: ProfileBody,
    kind: KindDep,
    context: ContextDep,
    profiles: ProfilesDep,
    principal: PrincipalDep,
) -> Response:
    """Create a profile, or replace it with all its images."""
    checked_name(body.name, kind)
    check_count(len(body.images))
    items = await profile_images(context, body.images, "images")
    profile = await profiles.save(
        kind, body.name, by=principal, description=body.description, items=items
    )
    return json_response(_done(profile), body.ignored())


@router.get("/v1/characters")
@router.get("/v1/environments")
async def list_profiles(kind: KindDep, profiles: ProfilesDep) -> Response:
    """List the profiles of all users, oldest first."""
    found = await profiles.all(kind)
    return json_response({LIST_KEYS[kind]: [summary(profile) for profile in found]})


@router.post("/v1/characters/generate")
@router.post("/v1/environments/generate")
async def generate_profile(
    body: GenerateBody,
    kind: KindDep,
    profiles: ProfilesDep,
    call: CallDep,
) -> Response:
    """Create a profile whose images an image model generates."""
    checked_name(body.name, kind)
    await check_may_replace(profiles, kind, body.name, call.principal)
    job, images = await generated_images(body, call)
    profile = await profiles.save(
        kind,
        body.name,
        by=call.principal,
        description=body.description,
        items=profile_items(images),
    )
    told = call.dialect.told(images.warnings, job.operation_name)
    warnings = {"warnings": told} if told else {}
    return json_response(_done(profile) | warnings, {"X-Job-ID": job.id} | body.ignored())


@router.post("/v1/characters/extract")
@router.post("/v1/environments/extract")
async def extract_profile(
    body: ExtractBody,
    kind: KindDep,
    context: ContextDep,
    profiles: ProfilesDep,
    principal: PrincipalDep,
) -> Response:
    """Create a profile from images and videos: faces, or the sharpest whole frames."""
    checked_name(body.name, kind)
    if not (body.images or body.videos):
        raise InvalidRequest("send 'images' or 'videos' to extract from", param="images")
    items = await _extracted(context, body, kind)
    profile = await profiles.save(
        kind, body.name, by=principal, description=body.description, items=items
    )
    return json_response(_done(profile), body.ignored())


@router.get("/v1/characters/{name:path}")
@router.get("/v1/environments/{name:path}")
async def read_profile(
    name: str, kind: KindDep, context: ContextDep, profiles: ProfilesDep
) -> Response:
    """Read a profile with its images as data URLs."""
    return json_response(detail(context, await profiles.get(kind, name)))


@router.patch("/v1/characters/{name:path}")
@router.patch("/v1/environments/{name:path}")
async def change_profile(
    name: str,
    body: ProfilePatch,
    kind: KindDep,
    context: ContextDep,
    profiles: ProfilesDep,
    principal: PrincipalDep,
) -> Response:
    """Change the description, and remove or add images."""
    await profiles.owned(kind, name, by=principal)
    check_count(len(body.add_images))
    change = ProfileChange(
        description=body.description,
        remove=tuple(body.remove_indices),
        add=tuple(await profile_images(context, body.add_images, "add_images")),
    )
    profile = await profiles.change(kind, name, change, by=principal)
    return json_response(_done(profile), body.ignored())


@router.delete("/v1/characters/{name:path}")
@router.delete("/v1/environments/{name:path}")
async def delete_profile(
    name: str, kind: KindDep, profiles: ProfilesDep, principal: PrincipalDep
) -> Response:
    """Delete a profile and its images."""
    await profiles.delete(kind, name, by=principal)
    return json_response({"ok": True, "name": name})


def _done(profile: Profile) -> dict[str, Any]:
    return {"ok": True, "name": profile.name, "image_count": len(profile.items)}


async def _extracted(context: Context, body: ExtractBody, kind: Kind) -> list[NewProfileItem]:
    """Images first, then frames of the videos, as many as there is room for."""
    found = context.catalog.find("faces", None)
    request = ExtractImages(
        model=found.id,
        what="faces" if kind == "character" else "frames",
        images=await _stored_media(context, body.images[: body.max_images], "images", "image"),
        videos=await _stored_media(context, body.videos, "videos", "video"),
        count=body.max_images,
        max_pixels=context.config.limits.image_pixels,
    )
    made = await context.catalog.answer(request)
    if not made.images:
        raise InvalidRequest("nothing usable was found in the media", param="videos")
    return [NewProfileItem(role="image", text="", blob=blob) for blob in made.images]


async def _stored_media(
    context: Context, media: list[str], field: str, kind: MediaKind
) -> tuple[Blob, ...]:
    blobs = [
        await context.intake.take(medium, param=f"{field}[{number}]", kind=kind)
        for number, medium in enumerate(media)
    ]
    return tuple(blobs)
