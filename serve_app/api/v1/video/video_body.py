"""The body of a request for a video: every field of it, and what the fields alone decide."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from serve_app.api.job_body import JobBody
from serve_app.api.openai.chat_parts import NestedBody
from serve_app.api.v1.configured import SentMedium, image_list
from serve_app.api.v1.images.image_body import Loras
from serve_app.api.v1.images.image_extras import Name
from serve_app.api.wire_types import Flag, Integer, Media, ModelName, Number, Text
from serve_app.core.bounds import INT64, PROMPT_CHARACTERS
from serve_app.core.image.images import Size
from serve_app.core.video.generation import CameraMotion, Offload, VideoMode, VideoQuality

MAX_COUNT = 4
SIDE_PX = 512
KeyImages = Annotated[list[Media], Field(max_length=16)]
ProfileName = Annotated[Text, Field(min_length=1, max_length=200)]
ProfileNames = Annotated[list[ProfileName], Field(max_length=16)]
Prompt = Annotated[Text, Field(max_length=PROMPT_CHARACTERS)]
Side = Annotated[Integer, Field(ge=16, le=4096)]
Steps = Annotated[Integer, Field(ge=1, le=150)]
Share = Annotated[Number, Field(strict=True, ge=0, le=1)]
Guidance = Annotated[Number, Field(strict=True, ge=0, le=30)]
Speed = Annotated[Number, Field(strict=True, ge=0.25, le=4)]
Language = Annotated[Text, Field(min_length=1, max_length=100)]


class CharacterBody(NestedBody):
    """A person who must stay recognisable, and images of them."""

    name: Text = Field(min_length=1, max_length=200)
    images: KeyImages = Field(min_length=1)


class DialogBody(NestedBody):
    """A line of dialog; without a `start_time` in seconds, it follows the previous line."""

    character: Name | None = None
    voice: Name | None = None
    text: Prompt = Field(min_length=1)
    start_time: Annotated[Number, Field(strict=True, ge=0)] | None = None
    lip_sync: Flag | None = None
    lang: Language | None = None
    speed: Speed | None = None


class BasicFields(JobBody):
    """What is made, how large and how long."""

    model: ModelName | None = None
    prompt: Prompt | None = None
    negative_prompt: Prompt | None = None
    width: Side | None = None
    height: Side | None = None
    num_frames: Annotated[Integer, Field(ge=1, le=20_000)] | None = None
    fps: Annotated[Number, Field(strict=True, ge=1, le=240)] | None = None
    num_inference_steps: Steps | None = None
    guidance_scale: Guidance | None = None
    seed: Annotated[Integer, Field(lt=INT64 - MAX_COUNT)] | None = None
    n: Annotated[Integer, Field(ge=1, le=MAX_COUNT)] | None = None
    disable_safety_checker: Flag | None = None
    offload_strategy: Offload | None = None
    response_format: Literal["url", "b64_mp4", "base64", "b64"] | None = None
    user: Text | None = None


class SourceFields(JobBody):
    """What it is made of, and how it moves."""

    mode: VideoMode | Literal["at2v", "ai2v"] | None = None
    image: Media | None = Field(default=None, validation_alias=AliasChoices("image", "init_image"))
    end_image: Media | None = None
    video: Media | None = None
    strength: Share | None = None
    cond_frames: KeyImages | None = None
    camera_motion: CameraMotion | None = None
    num_segments: Annotated[Integer, Field(ge=1, le=64)] | None = None
    duration_seconds: Annotated[Number, Field(strict=True, gt=0, le=3600)] | None = None
    num_cond_frames: Annotated[Integer, Field(ge=1, le=256)] | None = None
    quality: VideoQuality | None = None
    stage: Literal["base", "distill", "refinement"] | None = None
    text_guidance_scale: Guidance | None = None
    audio_guidance_scale: Guidance | None = None

    def media(self) -> list[SentMedium]:
        """What was sent to look at."""
        video: SentMedium = ("video", self.video, "video")
        images = {"image": self.image, "end_image": self.end_image}
        named: list[SentMedium] = [(name, value, "image") for name, value in images.items()]
        return [*named, video, *image_list("cond_frames", self.cond_frames)]


class IdentityFields(JobBody):
    """Who and what is to be recognised in it."""

    characters: list[CharacterBody] | None = Field(default=None, max_length=16)
    character_references: KeyImages | None = None
    character_names: ProfileNames | None = None
    character_strength: Share | None = None
    character_profiles: ProfileNames | None = None
    environment_profiles: ProfileNames | None = None
    keyframe_identity: Literal["auto", "always", "never"] | None = None
    keyframe_model: Name | None = None
    keyframe_steps: Steps | None = None
    loras: Loras | None = None


class FinishingFields(JobBody):
    """What is done with the video once it is made."""

    add_audio: Flag | None = None
    audio_type: Literal["music", "speech", "sfx", "ambient"] | None = None
    audio_prompt: Prompt | None = None
    audio_file: Media | None = None
    tts_text: Prompt | None = None
    tts_voice: Name | None = None
    tts_speed: Speed | None = None
    sync_audio: Flag | None = None
    lip_sync: Flag | None = None
    lip_sync_method: Literal["wav2lip", "sadtalker"] | None = None
    dialogs: list[DialogBody] | None = Field(default=None, max_length=100)
    generate_subtitles: Flag | None = None
    burn_subtitles: Flag | None = None
    translate_subtitles: Flag | None = None
    subtitle_language: Language | None = None
    subtitle_target_lang: Language | None = None
    subtitle_style: Literal["default", "karaoke", "minimal"] | None = None
    whisper_model: Name | None = None
    dub_video: Flag | None = None
    dub_target_lang: Language | None = None
    dub_source_lang: Language | None = None
    voice_clone: Flag | None = None
    upscale_output: Flag | None = None
    upscale_factor: Literal[2, 3, 4] | None = None
    interpolate_output: Flag | None = None
    fps_multiplier: Annotated[Integer, Field(ge=2, le=8)] | None = None
    convert_to_3d: Flag | None = None
    depth_method: Literal["midas", "zoe", "depth-anything"] | None = None


class VideoBody(BasicFields, SourceFields, IdentityFields, FinishingFields):
    """POST /v1/video/generations."""

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        return self.sent("user")

    def requested_size(self) -> Size | None:
        """None for that of the video it is made of."""
        if self.video is not None and self.width is None and self.height is None:
            return None
        return Size(width=self.width or SIDE_PX, height=self.height or SIDE_PX)
