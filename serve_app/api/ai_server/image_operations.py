"""What generates and describes images."""

import secrets
from typing import Annotated, Any

from pydantic import Field, ValidationError

from serve_app.api.ai_server.given_files import GivenFiles
from serve_app.api.ai_server.known_models import model_for
from serve_app.api.ai_server.operation_body import OperationBody
from serve_app.api.ai_server.scalars import (
    FORMAT,
    NOT_EMPTY,
    Decimal,
    Whole,
    WordMap,
    Words,
    between,
)
from serve_app.api.ai_server.service_error import ServiceError, missing, unsupported
from serve_app.api.call import Call
from serve_app.catalog.catalog import CatalogEntry
from serve_app.catalog.upscaler_selection import select_upscaler
from serve_app.core.bounds import MAX_IMAGES, PROMPT_CHARACTERS
from serve_app.core.choices import explicit
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.captioning import DescribeImage
from serve_app.core.image.images import ImageToImage, Inpaint, Size, TextToImage
from serve_app.core.image.upscaling import UpscaleImage
from serve_app.core.operation import Operation

SEEDS = 2**31 - 1
DENOISE, DENOISE_MASKED = 0.75, 0.99
ANSWER_TOKENS = 512
MOST_FILES = 2
Prompt = Annotated[Words, Field(max_length=PROMPT_CHARACTERS)]
Seed = Annotated[Whole, between(0, SEEDS)]
Side = Annotated[Whole, between(64, 2048)]
Share = Annotated[Decimal, between(0, 1)]
PARAMETERS = {
    "steps": "steps",
    "cfg": "guidance_scale",
    "cfg_scale": "guidance_scale",
    "guidance_scale": "guidance_scale",
    "sampler": "scheduler",
    "scheduler": "scheduler",
}
"""Of `arguments`, by the fields of an ImageGeneration."""


class GenerationFields(OperationBody):
    """What all that generates images has in common."""

    positive_prompt: Annotated[Prompt, NOT_EMPTY]
    negative_prompt: Prompt | None = None
    model: Annotated[Words, Field(max_length=500)] | None = None
    seed: Seed | None = None

    def generation(self, found: CatalogEntry, call: Call) -> dict[str, Any]:
        """The fields of an ImageGeneration. A missing seed is chosen here, so that a job that is
        resumed generates the same images.
        """
        return {
            "model": found.id,
            "prompt": self.positive_prompt,
            "negative_prompt": self.negative_prompt or None,
            "seed": secrets.randbelow(SEEDS) if self.seed is None else self.seed,
            "format": "webp",
            "max_pixels": call.context.config.limits.image_pixels,
        }


class TextToImageFields(GenerationFields):
    """TextToImage; `arguments` are further parameters, such as `steps`."""

    width: Side | None = None
    height: Side | None = None
    batch_size: Annotated[Whole, between(1, MAX_IMAGES)] = 1
    arguments: WordMap | None = None

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:  # noqa: ARG002
        """The operation."""
        catalog = call.context.catalog
        if explicit(self.model) is None and not catalog.every("images"):
            raise missing("Model")
        fields = self.generation(model_for(catalog, "images", self.model), call)
        width, height = self.width or self.height, self.height or self.width
        if width is not None and height is not None:
            fields["size"] = Size(width=width, height=height)
        return TextToImage(count=self.batch_size, **fields | self._parameters())

    def _parameters(self) -> dict[str, Any]:
        given = {name.lower(): text for name, text in (self.arguments or {}).items()}
        chosen = {PARAMETERS[name]: text for name, text in given.items() if name in PARAMETERS}
        try:
            read: dict[str, Any] = {
                name: text if name == "scheduler" else float(text) for name, text in chosen.items()
            }
            steps = {"steps": int(read["steps"])} if "steps" in read else {}
            checked = {"model": "", "prompt": "", "seed": 0} | read | steps
            TextToImage.model_validate(checked)
        except (ValueError, OverflowError, ValidationError):
            raise ServiceError(
                "'Arguments' has a value that is no number", error_code=FORMAT
            ) from None
        return read | steps


class ImageToImageFields(GenerationFields):
    """ImageToImage; less of the image is left the greater `denoise` is."""

    denoise: Share | None = None
    batch_size: Annotated[Whole, between(1, MAX_IMAGES)] = 1

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:
        """The operation."""
        image = await files.take("image", missing("Image"))
        found = model_for(call.context.catalog, "images", self.model)
        return ImageToImage(
            image=image,
            strength=DENOISE if self.denoise is None else self.denoise,
            count=self.batch_size,
            **self.generation(found, call),
        )


class ImageWithMaskFields(GenerationFields):
    """ImageWithMask: what is white in the mask is painted anew."""

    denoise: Share | None = None

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:
        """The operation."""
        if files.count > MOST_FILES:
            raise ServiceError(f"{files.count} files were sent", remedy="send an image and a mask")
        image = await files.take("image", missing("Image"))
        mask = await files.take("mask", missing("Mask"))
        found = model_for(call.context.catalog, "images", self.model)
        return Inpaint(
            image=image,
            mask=mask,
            strength=DENOISE_MASKED if self.denoise is None else self.denoise,
            **self.generation(found, call),
        )


class ImageUpscaleFields(OperationBody):
    """ImageUpscale, exactly twice as wide and as high. The seed is accepted."""

    seed: Seed | None = None

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:
        """The operation. Where no model is trained for it, the image is resampled: `provider` says
        what has made the result.
        """
        image = await files.take("image", missing("Image"))
        catalog = call.context.catalog
        try:
            found = await select_upscaler(catalog, None, allows_resize=True)
        except BackendUnavailable:
            if catalog.every("upscaling"):
                raise
            raise unsupported("upscaling") from None
        return UpscaleImage(
            model=found.id,
            image=image,
            scale=2,
            allows_resize=True,
            format="webp",
            max_pixels=call.context.config.limits.image_pixels,
        )


class ImageToTextFields(OperationBody):
    """ImageToText: a caption, or the answer of a `model` to a `prompt`."""

    model: Annotated[Words, Field(max_length=500)] | None = None
    prompt: Prompt | None = None

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:
        """The operation."""
        image = await files.take("image", missing("Image"))
        found = model_for(call.context.catalog, "captioning", self.model)
        fields: dict[str, Any] = {}
        if explicit(self.model) is not None and explicit(self.prompt) is not None:
            fields = {"question": self.prompt, "max_tokens": ANSWER_TOKENS}
        return DescribeImage(
            model=found.id,
            image=image,
            max_pixels=call.context.config.limits.image_pixels,
            **fields,
        )
