"""The body of img2img: images to be changed, and a mask of what may change."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from typing_extensions import override

from serve_app.api.automatic1111.diffusion_body import DiffusionBody
from serve_app.api.automatic1111.numbers import Real, Switch, Whole, WholeOrFlag
from serve_app.api.wire_types import MediaText
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import MaskFill, Resize

RESIZES: tuple[Resize, ...] = ("stretch", "crop", "fill", "latent")
IMAGE_GUIDANCE = 1.5
UNGUIDED = "image_cfg_scale has no effect: no engine here follows the source beside the prompt"
FILLS: tuple[MaskFill, ...] = ("surroundings", "original", "noise", "nothing")
MOST_SOURCES = 16
SentImage = Annotated[MediaText, Field(max_length=MEDIA_CHARACTERS)]
Blur = Annotated[Real, Field(ge=0, le=1000)]


class Img2ImgBody(DiffusionBody):
    """Several images are changed one after the other, each with the same seeds."""

    usual_strength = 0.75

    init_images: Annotated[
        list[SentImage],
        Field(max_length=MOST_SOURCES),
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    ] = Field(default_factory=list)
    resize_mode: Annotated[Whole, Field(ge=0, lt=len(RESIZES))] = 0
    mask: SentImage | None = None
    mask_blur: Blur | None = None
    mask_blur_x: Blur = 4
    mask_blur_y: Blur = 4
    mask_round: Switch = True
    inpainting_fill: Annotated[Whole, Field(ge=0, lt=len(FILLS))] = 0
    inpaint_full_res: Switch = True
    inpaint_full_res_padding: Annotated[Whole, Field(ge=0, le=4096)] = 0
    inpainting_mask_invert: Annotated[WholeOrFlag, Field(ge=0, le=1)] = 0
    image_cfg_scale: Annotated[Real, Field(ge=0, le=100)] = IMAGE_GUIDANCE
    initial_noise_multiplier: Annotated[Real, Field(ge=0, le=2)] = 1
    include_init_images: Switch = False

    @property
    def sources(self) -> list[str]:
        """The images. InvalidRequest without one."""
        if not self.init_images or not all(image.strip() for image in self.init_images):
            raise InvalidRequest("Init image not found", param="init_images")
        return self.init_images

    @property
    def blur(self) -> tuple[float, float]:
        """Of the mask, in pixels; one number is for both directions."""
        if self.mask_blur is not None:
            return self.mask_blur, self.mask_blur
        return self.mask_blur_x, self.mask_blur_y

    @override
    def without_effect(self) -> tuple[str, ...]:
        unguided = (UNGUIDED,) if self.image_cfg_scale != IMAGE_GUIDANCE else ()
        return super().without_effect() + unguided

    @override
    def parameters(self, seed: int) -> dict[str, Any]:
        return super().parameters(seed) | {"mask_blur": self.blur[0]}

    def source_fields(self) -> dict[str, Any]:
        """What an operation on an image has besides the image."""
        return {
            "strength": self.strength,
            "resize": RESIZES[self.resize_mode],
            "noise_scale": self.initial_noise_multiplier,
        }

    def mask_fields(self) -> dict[str, Any]:
        """What one with a mask has besides that."""
        padding = self.inpaint_full_res_padding if self.inpaint_full_res else None
        return {
            "mask_reading": "brightness",
            "rounds_mask": self.mask_round,
            "mask_blur": self.blur,
            "inverts_mask": bool(self.inpainting_mask_invert),
            "mask_fill": FILLS[self.inpainting_fill],
            "region_padding": padding,
        }
