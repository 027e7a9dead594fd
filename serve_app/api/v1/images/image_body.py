"""The fields that all requests for images share, and their way into core."""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.v1.images.image_extras import LoraBody, profile_images
from serve_app.api.v1.images.sizes import requested_size
from serve_app.api.wire_types import Flag, Integer, Media, ModelName, Number, Text
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.bounds import INT64, MAX_IMAGES, PROMPT_CHARACTERS
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.attachments import References
from serve_app.core.image.images import ImageFormat, Quality, Size, TextToImage
from serve_app.core.media import Blob
from serve_app.profiles.profile import Kind

MAX_EXTRAS = 16
DEFAULT_SIZE = Size(width=1024, height=1024)
SEEDS = 2**32
"""How many seeds there are to choose from; clients hand any 64-bit one back."""

QUALITIES: dict[str, Quality] = {"low": "low", "high": "high", "hd": "high"}
IGNORED = ("style", "background", "moderation", "user")
KINDS: dict[Kind, str] = {
    "character": "character_profiles",
    "environment": "environment_profiles",
}
REFERENCES = ("character_references", "character_profiles", "environment_profiles")
# Spelled out, because forms are described apart from the components that JSON bodies refer to.
Loras = Annotated[
    list[LoraBody],
    Field(max_length=MAX_EXTRAS),
    WithJsonSchema({"type": "array", "items": {"type": "object"}, "maxItems": MAX_EXTRAS}),
]
Names = Annotated[list[Text], Field(max_length=MAX_EXTRAS)]


class ImageRequestBody(JobBody):
    """The fields that all image routes share."""

    model: ModelName | None = None
    n: Annotated[Integer, Field(ge=1, le=MAX_IMAGES)] | None = None
    size: Text | None = Field(default=None, max_length=100)
    response_format: Literal["url", "b64_json", "base64", "b64"] | None = None
    output_format: ImageFormat | None = None
    output_compression: Annotated[Integer, Field(ge=0, le=100)] | None = None
    steps: Annotated[Integer, Field(ge=1, le=150)] | None = None
    guidance_scale: Annotated[Number, Field(strict=True, ge=0, le=30)] | None = None
    quality: Literal["standard", "hd", "low", "medium", "high", "auto"] | None = None
    seed: Annotated[Integer, Field(lt=INT64 - MAX_IMAGES)] | None = None
    negative_prompt: Text | None = Field(default=None, max_length=PROMPT_CHARACTERS)
    scheduler: Text | None = Field(default=None, min_length=1, max_length=100)
    style: Text | None = None
    background: Text | None = None
    moderation: Text | None = None
    user: Text | None = None
    disable_safety_checker: Flag | None = None
    vae_model: ModelName | None = None
    loras: Loras | None = None
    character_profiles: Names | None = None
    environment_profiles: Names | None = None
    character_references: Annotated[list[Media], Field(max_length=MAX_EXTRAS)] | None = None
    character_strength: Annotated[Number, Field(strict=True, ge=0, le=1)] | None = None

    def without_effect(self) -> list[str]:
        """`character_strength` has no effect without references, and PNG loses nothing."""
        names = [*IGNORED]
        if not self.has_references():
            names.append("character_strength")
        if self.output_format in (None, "png"):
            names.append("output_compression")
        return self.sent(*names)

    def has_references(self) -> bool:
        """Whether reference images are named."""
        return any(getattr(self, name) for name in REFERENCES)

    def requested_size(self) -> Size | None:
        """None for `auto` and for none."""
        return requested_size(self.size, param="size")

    @property
    def is_auto_size(self) -> bool:
        """Whether the model chooses the size."""
        return self.size is not None and self.size.strip().lower() == "auto"

    async def generation_fields(
        self, found: CatalogEntry, context: Context, *, also: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The fields of an ImageGeneration; `also` are reference images from the field `image`.

        NotFound for profiles that do not exist. A seed that nobody chose is chosen here, so that a
        job that is resumed generates the same images.
        """
        size = self.requested_size()
        references = await self._references(context, also)
        loras = [
            await lora.to_lora(context, f"loras[{position}]")
            for position, lora in enumerate(self.loras or ())
        ]
        fields = {
            "model": found.id,
            "negative_prompt": self.negative_prompt,
            "size": size,
            "seed": secrets.randbelow(SEEDS) if self.seed is None else self.seed,
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "quality": QUALITIES.get(self.quality or "", "standard"),
            "scheduler": self.scheduler,
            "checks_safety": not self.disable_safety_checker,
            "format": self.output_format,
            "compression": self.output_compression,
            "count": self.n,
            "loras": tuple(loras),
            "vae_model": self.vae_model,
            "references": references,
            "max_pixels": context.config.limits.image_pixels,
        }
        return {name: value for name, value in fields.items() if value is not None}

    async def _references(self, context: Context, also: Sequence[str]) -> References | None:
        named: list[tuple[str, Blob]] = []
        for kind, names in KINDS.items():
            saved = await profile_images(context, kind, getattr(self, names))
            named += [(names, blob) for blob in saved]
        given = ("character_references", self.character_references or (), 0), ("image", also, 1)
        for field, values, first in given:
            for position, value in enumerate(values, first):
                path = f"{field}[{position}]"
                named.append((path, await context.intake.take(value, param=path, kind="image")))
        if not named:
            return None
        paths, images = zip(*named, strict=True)
        strength = 0.6 if self.character_strength is None else self.character_strength
        field = paths[0].partition("[")[0]
        return References(images=images, strength=strength, field=field, paths=paths)


class GenerationBody(ImageRequestBody):
    """POST /v1/images/generations."""

    prompt: Text = Field(min_length=1, max_length=PROMPT_CHARACTERS)

    async def to_text_to_image(self, found: CatalogEntry, context: Context) -> TextToImage:
        """The operation."""
        fields = await self.generation_fields(found, context)
        if self.size is None:
            fields["size"] = DEFAULT_SIZE
        return TextToImage(prompt=checked_prompt(self.prompt), **fields)


def checked_prompt(prompt: str) -> str:
    """The prompt, unless it is blank."""
    if not prompt.strip():
        raise InvalidRequest("the prompt must not be blank", param="prompt")
    return prompt
