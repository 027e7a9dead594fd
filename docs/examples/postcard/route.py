"""POST /v1/pipelines/postcard."""

import secrets
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import CallDep
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import check_configured
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.images.image_body import PROMPT_CHARACTERS, SEEDS
from serve_app.api.v1.images.sizes import requested_size
from serve_app.api.v1.media_links import media_item, media_link
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, Integer, Text
from serve_app.core.image.images import Size
from serve_app.core.message import Message
from serve_app.core.video.postcard import Postcard, SendPostcard

router = APIRouter(tags=["pipelines"], responses=ERRORS)
DEFAULT_SIZE = Size(width=512, height=512)


class PostcardBody(JobBody):
    """What the postcard shows; with `narrate` false, the caption is not read aloud."""

    prompt: Text = Field(min_length=1, max_length=PROMPT_CHARACTERS)
    size: Text | None = Field(default=None, max_length=100)
    seed: Annotated[Integer, Field(ge=0, lt=SEEDS)] | None = None
    narrate: Flag | None = None
    response_format: Literal["url", "b64_json", "base64", "b64"] | None = None

    def to_postcard(self, context: Context) -> SendPostcard:
        """The operation, with the default models and a seed: a resumed job must not choose them
        again.
        """
        catalog = context.catalog
        return SendPostcard(
            prompt=self.prompt,
            text_model=catalog.find("chat", None).id,
            image_model=catalog.find("images", None).id,
            speech_model=None if self.narrate is False else catalog.find("speech", None).id,
            size=requested_size(self.size, param="size") or DEFAULT_SIZE,
            seed=secrets.randbelow(SEEDS) if self.seed is None else self.seed,
        )


@router.post("/v1/pipelines/postcard")
async def postcard(body: PostcardBody, call: CallDep) -> Response:
    """An image, a caption for it, and the caption read aloud."""
    check_configured(call.context, SendPostcard.pipeline)
    operation = body.to_postcard(call.context)
    output = media_output(body.response_format, "image")
    return await job_answer(call, body, operation, output)


async def postcard_body(finished: Finished[Message, Postcard, MediaOutput]) -> AnswerBody:
    """The image as an item, with its caption and the URL of the audio."""
    made = finished.result
    item = await media_item(finished, made.image) | {"caption": made.caption}
    item["audio_url"] = made.audio and await media_link(finished, made.audio)
    return result_envelope(finished, item)


ANSWERS = (Answer(SendPostcard, MediaOutput, postcard_body),)
