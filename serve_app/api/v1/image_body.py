"""The body of a request for images and its way into core."""

import re
import secrets
from typing import Annotated, Any, Literal

from pydantic import Field

from serve_app.api.context import Context
from serve_app.api.profile_objects import get_profiles
from serve_app.api.v1.job_body import JobBody
from serve_app.api.v1.wire import INT64, Flag, Integer, JsonObject, Number, Text
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.images import ImageFormat, ImageModel, Quality, Size, TextToImage
from serve_app.models import Found
from serve_app.profiles.profile import Kind

MAX_COUNT = 10
SIDE_PX = range(64, 4097)
PROMPT_CHARACTERS = 32_000
SEEDS = 2**32
"""How many seeds are drawn from; clients hand any 64-bit one back."""

QUALITIES: dict[str, Quality] = {"low": "low", "high": "high", "hd": "high"}
IGNORED = ("style", "background", "moderation", "user")
REFERENCES = ("character_profiles", "environment_profiles", "character_references")
SIZE = re.compile(r"(\d{1,5})[xX](\d{1,5})", re.ASCII)


class ImageBody(JobBody):
    """The fields that all routes for images share."""

    model: Text | None = Field(default=None, max_length=500)
    n: Annotated[Integer, Field(ge=1, le=MAX_COUNT)] | None = None
    size: Text | None = Field(default=None, max_length=100)
    response_format: Literal["url", "b64_json", "base64", "b64"] | None = None
    output_format: ImageFormat | None = None
    output_compression: Annotated[Integer, Field(ge=0, le=100)] | None = None
    steps: Annotated[Integer, Field(ge=1, le=150)] | None = None
    guidance_scale: Annotated[Number, Field(strict=True, ge=0, le=30)] | None = None
    quality: Literal["standard", "hd", "low", "medium", "high", "auto"] | None = None
    seed: Annotated[Integer, Field(lt=INT64 - MAX_COUNT)] | None = None
    negative_prompt: Text | None = Field(default=None, max_length=PROMPT_CHARACTERS)
    scheduler: Text | None = Field(default=None, min_length=1, max_length=100)
    style: Text | None = None
    background: Text | None = None
    moderation: Text | None = None
    user: Text | None = None
    disable_safety_checker: Flag | None = None
    vae_model: Text | None = None
    loras: list[JsonObject] | None = Field(default=None, max_length=16)
    character_profiles: list[Text] | None = Field(default=None, max_length=16)
    environment_profiles: list[Text] | None = Field(default=None, max_length=16)
    character_references: list[Text] | None = Field(default=None, max_length=16)
    character_strength: Annotated[Number, Field(strict=True, ge=0, le=1)] | None = None

    def without_effect(self) -> list[str]:
        """`character_strength` has no effect without references, which are refused."""
        names = (*IGNORED, "character_strength")
        return [name for name in names if getattr(self, name) is not None]

    async def check_extras(self, found: Found[ImageModel], context: Context) -> None:
        """NotFound for profiles that do not exist; UnsupportedCapability for everything that is
        loaded beside a model, because no engine does that yet.
        """
        await _check_profiles(context, "character", self.character_profiles)
        await _check_profiles(context, "environment", self.environment_profiles)
        for name in (*REFERENCES, "loras", "vae_model"):
            if getattr(self, name):
                raise UnsupportedCapability(
                    f"{name}: model {found.id!r} takes none; leave it out", param=name
                )

    def asked_size(self) -> Size | None:
        """None for `auto`, the model's own."""
        if self.size is None or self.size.lower() == "auto":
            return None
        match = SIZE.fullmatch(self.size.strip())
        if match is None or any(int(side) not in SIDE_PX for side in match.groups()):
            raise InvalidRequest(
                f"size: {self.size[:50]!r} is not 'auto' or WIDTHxHEIGHT with sides from "
                f"{SIDE_PX.start} to {SIDE_PX.stop - 1}, such as '1024x1024'",
                param="size",
            )
        return Size(width=int(match[1]), height=int(match[2]))


class GenerationBody(ImageBody):
    """POST /v1/images/generations."""

    prompt: Text = Field(min_length=1, max_length=PROMPT_CHARACTERS)

    def to_text_to_image(self, found: Found[ImageModel]) -> TextToImage:
        """The operation. A seed that nobody chose is chosen here, so that a job that is resumed
        draws the same pictures.
        """
        if not self.prompt.strip():
            raise InvalidRequest("prompt: must not be blank", param="prompt")
        optional: dict[str, Any] = {
            "format": self.output_format,
            "compression": self.output_compression,
            "count": self.n,
        }
        size = Size(width=1024, height=1024) if self.size is None else self.asked_size()
        return TextToImage(
            model=found.id,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            size=size,
            seed=secrets.randbelow(SEEDS) if self.seed is None else self.seed,
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            quality=QUALITIES.get(self.quality or "", "standard"),
            scheduler=self.scheduler,
            checks_safety=not self.disable_safety_checker,
            **{name: value for name, value in optional.items() if value is not None},
        )


async def _check_profiles(context: Context, kind: Kind, names: list[str] | None) -> None:
    for name in names or ():
        await (await get_profiles(context)).get(kind, name, param=f"{kind}_profiles")
