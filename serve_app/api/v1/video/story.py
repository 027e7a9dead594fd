"""POST /v1/pipelines/story."""

import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer
from serve_app.api.call import CallDep
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import (
    SentMedium,
    check_configured,
    image_list,
    validating_media_first,
)
from serve_app.api.v1.images.image_body import SEEDS
from serve_app.api.v1.images.image_extras import profile_images
from serve_app.api.v1.images.sizes import requested_size
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.video.story_answer import story_body
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, Integer, MediaText, ModelName, Number, Text
from serve_app.catalog.catalog import Catalog
from serve_app.core.bounds import INT64, PROMPT_CHARACTERS
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.attachments import References
from serve_app.core.image.images import Size
from serve_app.core.tasks import Task
from serve_app.core.video.story import TellStory

router = APIRouter(tags=["pipelines"], responses=ERRORS)

STORY_CHARACTERS = 20_000
MOST_SCENES = 6
STRENGTH = 0.6
DEFAULT_SIZE = Size(width=512, height=512)
REFERENCES = ("character_profiles", "environment_profiles", "character_references")


class StoryBody(JobBody):
    """A story, and how to tell it. Every model has a default; with `narrate` false, there is no
    narrator.
    """

    story: Text = Field(min_length=1, max_length=STORY_CHARACTERS)
    text_model: ModelName | None = None
    image_model: ModelName | None = None
    video_model: ModelName | None = None
    tts_model: ModelName | None = None
    tts_voice: Text | None = Field(default=None, min_length=1, max_length=200)
    num_scenes: Annotated[Integer, Field(ge=1, le=MOST_SCENES)] | None = None
    num_frames: Annotated[Integer, Field(ge=1, le=1000)] | None = None
    fps: Annotated[Number, Field(strict=True, ge=1, le=120)] | None = None
    animate: Literal["first", "all"] | None = None
    image_size: Text | None = Field(default=None, max_length=100)
    image_steps: Annotated[Integer, Field(ge=1, le=150)] | None = None
    image_cfg: Annotated[Number, Field(strict=True, ge=0, le=30)] | None = None
    negative_prompt: Text | None = Field(default=None, max_length=PROMPT_CHARACTERS)
    seed: Annotated[Integer, Field(lt=INT64 - MOST_SCENES)] | None = None
    character_profiles: list[Text] | None = Field(default=None, max_length=16)
    environment_profiles: list[Text] | None = Field(default=None, max_length=16)
    character_references: list[MediaText] | None = Field(default=None, max_length=16)
    character_strength: Annotated[Number, Field(strict=True, ge=0, le=1)] | None = None
    narrate: Flag | None = None
    response_format: Literal["url", "b64_mp4", "base64", "b64"] | None = None
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only, or without anything that they belong to."""
        names = ["user"]
        if self.narrate is False:
            names += ["tts_model", "tts_voice"]
        if self._reference_field() is None:
            names.append("character_strength")
        return self.sent(*names)

    def media(self) -> list[SentMedium]:
        """What was sent to look at."""
        return image_list("character_references", self.character_references)

    async def to_story(self, context: Context) -> TellStory:
        """The operation. A seed that nobody chose is chosen here, so that a job that is resumed
        generates the same images.
        """
        if not self.story.strip():
            raise InvalidRequest("the story must not be blank", param="story")
        catalog = context.catalog
        optional: dict[str, Any] = {
            "scenes": self.num_scenes,
            "num_frames": self.num_frames,
            "fps": self.fps,
            "animates": self.animate,
        }
        return TellStory(
            story=self.story,
            text_model=_id(catalog, "chat", self.text_model, "text_model"),
            image_model=_id(catalog, "images", self.image_model, "image_model"),
            video_model=_id(catalog, "video", self.video_model, "video_model"),
            speech_model=None
            if self.narrate is False
            else _id(catalog, "speech", self.tts_model, "tts_model"),
            voice=self.tts_voice,
            size=self._size(),
            steps=self.image_steps,
            guidance_scale=self.image_cfg,
            negative_prompt=self.negative_prompt,
            seed=secrets.randbelow(SEEDS) if self.seed is None else self.seed,
            references=await self._references(context),
            **{name: value for name, value in optional.items() if value is not None},
        )

    def _size(self) -> Size:
        size = requested_size(self.image_size, param="image_size")
        return size or DEFAULT_SIZE

    def _reference_field(self) -> str | None:
        return next((name for name in REFERENCES if getattr(self, name)), None)

    async def _references(self, context: Context) -> References | None:
        field = self._reference_field()
        if field is None:
            return None
        images = [
            *await profile_images(context, "character", self.character_profiles),
            *await profile_images(context, "environment", self.environment_profiles),
        ]
        for number, image in enumerate(self.character_references or ()):
            param = f"character_references[{number}]"
            images.append(await context.intake.take(image, param=param, kind="image"))
        strength = STRENGTH if self.character_strength is None else self.character_strength
        return References(images=tuple(images), strength=strength, field=field)


@router.post("/v1/pipelines/story")
async def story(body: StoryBody, call: CallDep) -> Response:
    """Turn a story into a video: a script, an image per scene, animations and a narrator."""
    context = call.context
    output = media_output(body.response_format, "video")
    async with validating_media_first(context, *body.media()):
        operation = await body.to_story(context)
        check_configured(context, TellStory.pipeline)
    return await job_answer(call, body, operation, output)


def _id(catalog: Catalog, task: Task, name: str | None, param: str) -> str:
    """The canonical id of a model; errors name the field."""
    with renamed_error_fields({} if name is None else {"model": param}):
        return catalog.find(task, name).id


ANSWERS = (Answer(TellStory, MediaOutput, story_body),)
