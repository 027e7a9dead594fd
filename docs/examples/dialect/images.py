"""POST /lite/images."""

import secrets
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, AnswerOutput, Finished
from serve_app.api.call import CallDep, dialect_errors
from serve_app.api.lite.calls import LiteTaskBody, answered
from serve_app.api.wire_types import Integer, Text
from serve_app.core.bounds import MAX_IMAGES, PROMPT_CHARACTERS
from serve_app.core.image.images import Images, Size, TextToImage

router = APIRouter(tags=["images"])
SEEDS = 2**32
Side = Annotated[Integer, Field(ge=64, le=2048)]


class LiteImagesBody(LiteTaskBody):
    """A prompt; `pixels` is width and height."""

    wanted: Text = Field(min_length=1, max_length=PROMPT_CHARACTERS)
    pixels: tuple[Side, Side] = (512, 512)
    copies: Annotated[Integer, Field(ge=1, le=MAX_IMAGES)] = 1
    seed: Annotated[Integer, Field(ge=0, lt=SEEDS)] | None = None


@router.post("/lite/images")
async def images(body: LiteImagesBody, call: CallDep) -> Response:
    """Generate images. A missing seed is chosen here, so that a resumed job generates the same
    images.
    """
    with dialect_errors(call.dialect, TextToImage.name):
        found = call.context.catalog.find("images", body.engine)
    operation = TextToImage(
        model=found.id,
        prompt=body.wanted,
        count=body.copies,
        size=Size(width=body.pixels[0], height=body.pixels[1]),
        seed=secrets.randbelow(SEEDS) if body.seed is None else body.seed,
    )
    return await answered(call, body, operation)


async def images_body(finished: Finished[TextToImage, Images, AnswerOutput]) -> AnswerBody:
    """The URL and the seed of each image."""
    made = finished.result.images
    return {"images": [{"at": finished.url(each.image), "seed": each.seed} for each in made]}


ANSWERS = (Answer(TextToImage, AnswerOutput, images_body),)
