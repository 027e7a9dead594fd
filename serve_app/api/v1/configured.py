"""Whether a route's models are configured; what is wrong with the request is reported first."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from serve_app.api.context import Context
from serve_app.core.errors import BackendUnavailable
from serve_app.core.media import Blob, MediaKind
from serve_app.profiles.images import check_image
from serve_app.profiles.recordings import check_audio

SentMedium = tuple[str, str | None, MediaKind | None]
"""A field, the medium that was sent in it, and what it must be."""


def check_configured(context: Context, pipeline: str) -> None:
    """BackendUnavailable for a pipeline that the configuration does not list."""
    if all(listed.name != pipeline for listed in context.config.pipelines):
        raise BackendUnavailable(
            f"the pipeline {pipeline!r} is not configured",
            remedy="add it to 'pipelines'",
            provider=pipeline,
        )


def image_list(field: str, values: list[str] | None) -> list[SentMedium]:
    """The images of a list."""
    return [(f"{field}[{i}]", value, "image") for i, value in enumerate(values or ())]


@asynccontextmanager
async def validating_media_first(context: Context, *media: SentMedium) -> AsyncGenerator[None]:
    """Where an engine is found missing within it, the media are looked at before that is told: what
    is wrong with them is the caller's to mend, and would be wrong on every server. InvalidRequest,
    or what the intake raises, naming the field.
    """
    try:
        yield
    except BackendUnavailable:
        for param, value, kind in media:
            if value is not None:
                await _check(
                    context, await context.intake.take(value, param=param, kind=kind), param
                )
        raise


async def _check(context: Context, blob: Blob, param: str) -> None:
    async with context.blobs.local_file(blob) as path:
        match blob.mime.partition("/")[0]:
            case "image":
                pixels = context.config.limits.image_pixels
                await asyncio.to_thread(check_image, path, param=param, pixels=pixels)
            case "audio":
                await asyncio.to_thread(check_audio, path, param=param)
