"""POST /sdapi/v1/png-info."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.automatic1111.infotext import parsed
from serve_app.api.context import Context, ContextDep
from serve_app.api.json_answer import json_response
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import MediaText
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.image.image_texts import PARAMETERS, image_texts
from serve_app.core.media import Blob

router = APIRouter(tags=["images"], strict_content_type=False)


class PngInfoBody(WireObject):
    """An image, whatever made it."""

    image: Annotated[MediaText, Field(min_length=1, max_length=MEDIA_CHARACTERS)]


@router.post("/sdapi/v1/png-info")
async def png_info(body: PngInfoBody, context: ContextDep) -> Response:
    """Read from an image what it was generated from."""
    blob = await context.intake.take(body.image, param="image", kind="image")
    texts = await _texts(context, blob)
    info = texts.get(PARAMETERS, "")
    parameters: dict[str, Any] = parsed(info) if info else {}
    return json_response({"info": info, "items": texts, "parameters": parameters})


async def _texts(context: Context, blob: Blob) -> dict[str, str]:
    async with context.blobs.local_file(blob) as path:
        return await asyncio.to_thread(image_texts, path, param="image")
