"""POST /v1/pipelines/image-to-video."""

import secrets
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer
from serve_app.api.call import CallDep
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import check_configured
from serve_app.api.v1.images.image_body import SEEDS
from serve_app.api.v1.images.sizes import requested_size
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.video.image_to_video_answer import animation_body
from serve_app.api.v1.video.video_audio import background, spoken_prompt
from serve_app.api.v1.video.video_body import Guidance, Prompt, Steps
from serve_app.api.v1.video.video_finishing import STEP_FIELDS, larger_frames
from serve_app.api.v1.video.video_models import capable_facts, video_options
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, Integer, ModelName, Number, Text
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.bounds import INT64, PROMPT_CHARACTERS
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import Size, TextToImage
from serve_app.core.image.upscaling import VideoFactor
from serve_app.core.notices import Notice
from serve_app.core.video.finishing import VideoFinish
from serve_app.core.video.generation import CameraMotion, GenerateVideo, VideoFacts
from serve_app.core.video.image_to_video import AnimatePrompt
from serve_app.core.video.plan import legal_frames, planned, rounded_size

router = APIRouter(tags=["pipelines"], responses=ERRORS)

SIZE = Size(width=1024, height=1024)
FRAMES, FPS = 16, 8.0
STEPS, GUIDANCE = 25, 7.5
Seed = Annotated[Integer, Field(lt=INT64)]


class ImageToVideoBody(JobBody):
    """A prompt, and how to generate and animate its image. Both models have a default."""

    prompt: Text = Field(min_length=1, max_length=PROMPT_CHARACTERS)
    negative_prompt: Prompt | None = None
    image_model: ModelName | None = None
    image_size: Text | None = Field(default=None, max_length=100)
    image_steps: Steps | None = None
    image_cfg: Guidance | None = None
    image_seed: Seed | None = None
    video_model: ModelName | None = None
    num_frames: Annotated[Integer, Field(ge=1, le=20_000)] | None = None
    fps: Annotated[Number, Field(strict=True, ge=1, le=240)] | None = None
    num_inference_steps: Steps | None = None
    guidance_scale: Guidance | None = None
    video_seed: Seed | None = None
    camera_motion: CameraMotion | None = None
    add_audio: Flag | None = None
    audio_type: Literal["music", "speech", "sfx", "ambient"] | None = None
    audio_prompt: Prompt | None = None
    upscale_output: Flag | None = None
    upscale_factor: VideoFactor | None = None
    response_format: Literal["url", "b64_mp4", "base64", "b64"] | None = None
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only, or without anything that they belong to."""
        names = ["user"]
        names += [] if self.add_audio else ["audio_type", "audio_prompt"]
        names += [] if self.upscale_output else ["upscale_factor"]
        return self.sent(*names)

    async def to_animate(self, context: Context) -> AnimatePrompt:
        """The operation. Seeds that nobody chose are chosen here, so that a job that is resumed
        makes the same video.
        """
        if not self.prompt.strip():
            raise InvalidRequest("the prompt must not be blank", param="prompt")
        image = self._image(context)
        with renamed_error_fields({"model": "video_model"} if self.video_model is not None else {}):
            found = context.catalog.find("video", self.video_model)
        needs_still = video_options(found).needs_still
        facts = await capable_facts("t2v" if needs_still else "ti2v", found, context.catalog)
        generation = self._generation(found, facts, image.size or SIZE)
        if facts is not None:
            planned(generation, facts)
        return AnimatePrompt(
            image=image,
            generation=generation,
            finish=await self._finish(context),
            warnings=() if video_options(found).denoises else self._idle(found.id),
        )

    def _idle(self, model: str) -> tuple[Notice, ...]:
        """What a model has no use for that animates without denoising."""
        names = ("num_inference_steps", "guidance_scale")
        return tuple(
            Notice(field=name, text=f"has no effect on {model!r}")
            for name in names
            if getattr(self, name) is not None
        )

    def _image(self, context: Context) -> TextToImage:
        with renamed_error_fields({"model": "image_model"} if self.image_model is not None else {}):
            model = context.catalog.find("images", self.image_model).id
        return TextToImage(
            model=model,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            size=requested_size(self.image_size, param="image_size") or SIZE,
            steps=self.image_steps,
            guidance_scale=self.image_cfg,
            seed=_seed(self.image_seed),
        )

    def _generation(
        self, found: CatalogEntry, facts: VideoFacts | None, size: Size
    ) -> GenerateVideo:
        """Numbers that nobody named are fitted to the model; those that are named it rounds with a
        warning. A model that only moves a camera over its still has no steps and no guidance.
        """
        options = video_options(found)
        frames, steps, guidance = self.num_frames, self.num_inference_steps, self.guidance_scale
        if frames is None:
            frames = legal_frames(FRAMES, facts) if facts else FRAMES
        if options.denoises:
            steps = STEPS if steps is None else steps
            guidance = GUIDANCE if guidance is None else guidance
        else:
            steps = guidance = None
        return GenerateVideo(
            model=found.id,
            mode="t2v" if options.needs_still else "ti2v",
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            size=rounded_size(size, facts.side_multiple) if facts else size,
            num_frames=frames,
            fps=FPS if self.fps is None else self.fps,
            steps=steps,
            guidance_scale=guidance,
            camera_motion=self.camera_motion,
            seed=_seed(self.video_seed),
        )

    async def _finish(self, context: Context) -> VideoFinish:
        larger = await larger_frames(self.upscale_output, self.upscale_factor, context.catalog)
        if not self.add_audio:
            return VideoFinish(size=larger, fields=STEP_FIELDS)
        if self.audio_type == "speech":
            line = await spoken_prompt(context, self.audio_prompt)
            return VideoFinish(size=larger, lines=(line,), fields=STEP_FIELDS)
        made = await background(
            context, self.audio_type, self.audio_prompt, video_prompt=self.prompt
        )
        return VideoFinish(size=larger, background=made, fields=STEP_FIELDS)


@router.post("/v1/pipelines/image-to-video")
async def image_to_video(body: ImageToVideoBody, call: CallDep) -> Response:
    """Generate an image from a prompt and animate it; on request, add post-processing."""
    output = media_output(body.response_format, "video")
    operation = await body.to_animate(call.context)
    check_configured(call.context, AnimatePrompt.pipeline)
    return await job_answer(call, body, operation, output)


def _seed(requested: int | None) -> int:
    return secrets.randbelow(SEEDS) if requested is None else requested


ANSWERS = (Answer(AnimatePrompt, MediaOutput, animation_body),)
