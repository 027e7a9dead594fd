"""POST /sdapi/v1/interrogate."""

import re
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.automatic1111.diffusion_body import Name
from serve_app.api.automatic1111.error_object import NameNotFound
from serve_app.api.call import CallDep, dialect_errors
from serve_app.api.json_answer import json_response
from serve_app.api.runs import run_to_result
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import MediaText
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.image.captioning import DescribeImage

router = APIRouter(tags=["images"], strict_content_type=False)
CAPTIONER, TAGGERS = "clip", ("deepdanbooru", "deepbooru")
WORD = re.compile(r"[^\W_]+")
NO_TAGS = frozenset(("a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "is", "it"))
NO_TAGS |= {"its", "of", "on", "or", "that", "the", "their", "there", "this", "to", "with"}
"""Words that say nothing of an image."""


class InterrogateBody(WireObject):
    """An image, and whether a sentence or tags are wanted."""

    image: Annotated[MediaText, Field(min_length=1, max_length=MEDIA_CHARACTERS)]
    model: Name = CAPTIONER


@router.post("/sdapi/v1/interrogate")
async def interrogate(body: InterrogateBody, call: CallDep) -> Response:
    """Describe an image in a sentence, or in tags."""
    context = call.context
    kind = body.model.strip().lower() or CAPTIONER
    if kind not in (CAPTIONER, *TAGGERS):
        raise NameNotFound("Model not found", (CAPTIONER, TAGGERS[0]), param="model")
    image = await context.intake.take(body.image, param="image", kind="image")
    with dialect_errors(call.dialect, DescribeImage.name):
        found = context.catalog.find("captioning", None)
    operation = DescribeImage(
        model=found.id, image=image, max_pixels=context.config.limits.image_pixels
    )
    job, described = await run_to_result(call, operation)
    caption = described.text if kind == CAPTIONER else ", ".join(tags_of(described.text))
    return json_response({"caption": caption}, {"X-Job-ID": job.id})


def tags_of(text: str) -> list[str]:
    """The words of a sentence that say something, each once."""
    words = (word.lower() for word in WORD.findall(text))
    return [word for word in dict.fromkeys(words) if word not in NO_TAGS]
