"""The bodies of the profile routes, and their way to stored files."""

import asyncio
from typing import Annotated

from pydantic import AfterValidator, Field

from serve_app.api.context import Context
from serve_app.api.v1.wire import Body
from serve_app.api.wire_types import Integer, Media, ModelName, Text
from serve_app.core.errors import PayloadTooLarge
from serve_app.database.text import is_storable
from serve_app.profiles.images import check_image
from serve_app.profiles.profile import NewProfileItem
from serve_app.runtime.memory import return_freed_memory

IMAGE_BYTES = 32 * 1024**2
"""What one reference image may have: a profile is read with all its images inline."""


def _storable(text: str) -> str:
    if not is_storable(text):
        raise ValueError("NUL and half surrogates are not allowed")
    return text


ImageLabel = Annotated[Text, Field(max_length=200), AfterValidator(_storable)]
LongText = Annotated[Text, Field(max_length=10_000), AfterValidator(_storable)]


class ImageBody(Body):
    """A reference image."""

    label: ImageLabel | None = None
    data: Media


class ProfileBody(Body):
    """POST /v1/characters and /v1/environments. The name is checked where it is used."""

    name: Text
    description: LongText = ""
    images: list[ImageBody] = Field(min_length=1)


class ProfilePatch(Body):
    """PATCH: `remove_indices` count from 0 and are removed before `add_images` are added."""

    description: LongText | None = None
    add_images: list[ImageBody] = Field(default_factory=list)
    remove_indices: list[Integer] = Field(default_factory=list)


class GenerateBody(Body):
    """POST …/generate: reference images made by a model."""

    name: Text
    description: LongText = ""
    prompt: Annotated[Text, Field(min_length=1, max_length=10_000)]
    model: ModelName | None = None
    n: Annotated[Integer, Field(ge=1, le=8)] = 3
    steps: Annotated[Integer, Field(ge=1, le=150)] | None = None
    width: Annotated[Integer, Field(ge=64, le=4096)] = 512
    height: Annotated[Integer, Field(ge=64, le=4096)] = 512


class ExtractBody(Body):
    """POST …/extract: reference images found in media."""

    name: Text
    description: LongText = ""
    images: list[Media] = Field(default_factory=list)
    videos: list[Media] = Field(default_factory=list)
    max_images: Annotated[Integer, Field(ge=1, le=32)] = 5


async def profile_images(
    context: Context, images: list[ImageBody], field: str
) -> list[NewProfileItem]:
    """The images, stored. InvalidRequest with the path of the one that cannot be decoded."""
    return [
        await _profile_image(context, image, f"{field}[{position}].data")
        for position, image in enumerate(images)
    ]


async def _profile_image(context: Context, image: ImageBody, param: str) -> NewProfileItem:
    blob = await context.intake.take(image.data, param=param, kind="image")
    if blob.size > IMAGE_BYTES:
        raise PayloadTooLarge(f"a reference image has at most {IMAGE_BYTES} bytes", param=param)
    pixels = context.config.limits.image_pixels
    async with context.blobs.local_file(blob) as path:
        await asyncio.to_thread(check_image, path, param=param, pixels=pixels)
        await asyncio.to_thread(return_freed_memory)
    return NewProfileItem(role="image", text=image.label or "", blob=blob)
