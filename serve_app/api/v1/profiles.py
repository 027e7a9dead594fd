"""/v1/characters and /v1/environments: saved reference images, by name."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.profile_objects import LIST_KEYS, ProfilesDep, detail, summary
from serve_app.api.v1.profile_body import (
    ExtractBody,
    GenerateBody,
    ProfileBody,
    ProfilePatch,
    taken_images,
)
from serve_app.api.v1.wire import ERRORS, json_response
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.profiles.pictures import sharpest_frames, whole_picture
from serve_app.profiles.profile import Change, Kind, NewItem, Profile, check_count, checked_name

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
    items = await taken_images(context, body.images, "images")
    profile = await profiles.save(
        kind, body.name, by=principal, description=body.description, items=items
    )
    return json_response(_done(profile), body.ignored())


@router.get("/v1/characters")
@router.get("/v1/environments")
async def list_profiles(kind: KindDep, profiles: ProfilesDep) -> Response:
    """Everybody's, oldest first."""
    found = await profiles.all(kind)
    return json_response({LIST_KEYS[kind]: [summary(profile) for profile in found]})


@router.post("/v1/characters/generate")
@router.post("/v1/environments/generate")
async def generate_profile(body: GenerateBody, kind: KindDep) -> Response:
    """Let an image model make the images."""
    checked_name(body.name, kind)
    raise BackendUnavailable(
        "no image model is configured; send images of your own, or use 'extract'", param="model"
    )


@router.post("/v1/characters/extract")
@router.post("/v1/environments/extract")
async def extract_profile(
    body: ExtractBody,
    kind: KindDep,
    context: ContextDep,
    profiles: ProfilesDep,
    principal: PrincipalDep,
) -> Response:
    """Take the images out of pictures and films: whole frames, the sharpest of a film."""
    checked_name(body.name, kind)
    if not (body.images or body.videos):
        raise InvalidRequest("send 'images' or 'videos' to take them from", param="images")
    if kind == "character":
        raise BackendUnavailable(
            "no engine that finds faces is configured; send images of the face itself"
        )
    items = await _extracted(context, body)
    profile = await profiles.save(
        kind, body.name, by=principal, description=body.description, items=items
    )
    return json_response(_done(profile), body.ignored())


@router.get("/v1/characters/{name:path}")
@router.get("/v1/environments/{name:path}")
async def read_profile(
    name: str, kind: KindDep, context: ContextDep, profiles: ProfilesDep
) -> Response:
    """A profile with its images as data URLs."""
    return json_response(await detail(context, await profiles.get(kind, name)))


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
    """Change the description, remove images and add some."""
    await profiles.owned(kind, name, by=principal)
    check_count(len(body.add_images))
    change = Change(
        description=body.description,
        remove=tuple(body.remove_indices),
        add=tuple(await taken_images(context, body.add_images, "add_images")),
    )
    profile = await profiles.change(kind, name, change, by=principal)
    return json_response(_done(profile), body.ignored())


@router.delete("/v1/characters/{name:path}")
@router.delete("/v1/environments/{name:path}")
async def delete_profile(
    name: str, kind: KindDep, profiles: ProfilesDep, principal: PrincipalDep
) -> Response:
    """Remove a profile and its images."""
    await profiles.delete(kind, name, by=principal)
    return json_response({"ok": True, "name": name})


def _done(profile: Profile) -> dict[str, Any]:
    return {"ok": True, "name": profile.name, "image_count": len(profile.items)}


async def _extracted(context: Context, body: ExtractBody) -> list[NewItem]:
    """Pictures first, then frames of the films, as many as there is room for."""
    pixels = context.config.limits.image_pixels
    found: list[bytes] = []
    for position, image in enumerate(body.images[: body.max_images]):
        param = f"images[{position}]"
        blob = await context.intake.take(image, param=param, kind="image")
        async with context.blobs.local_file(blob) as path:
            found.append(await asyncio.to_thread(whole_picture, path, param=param, pixels=pixels))
    for position, video in enumerate(body.videos):
        room = -(-(body.max_images - len(found)) // (len(body.videos) - position))
        if room <= 0:
            break
        param = f"videos[{position}]"
        blob = await context.intake.take(video, param=param, kind="video")
        async with context.blobs.local_file(blob) as path:
            found += await asyncio.to_thread(sharpest_frames, path, room, param=param)
    if not found:
        raise InvalidRequest("nothing usable was found in the media", param="videos")
    return [await _item(context, data) for data in found]


async def _item(context: Context, data: bytes) -> NewItem:
    blob = await context.blobs.write(_once(data), mime="image/png")
    return NewItem(role="image", text="", blob=blob)


async def _once(data: bytes) -> AsyncGenerator[bytes]:
    yield data
