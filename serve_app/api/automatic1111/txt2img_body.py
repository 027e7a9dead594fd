"""The body of txt2img: a prompt, and a second pass at a larger size where it is asked for."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from serve_app.api.automatic1111.diffusion_body import DiffusionBody, Name, Prompt
from serve_app.api.automatic1111.numbers import Real, Switch, Whole
from serve_app.core.image.images import LatentResampling, Size

SECOND_PASS = ("hr_", "firstphase_")
SWITCH: TypeAdapter[bool] = TypeAdapter(Switch)
LATENT: dict[str, LatentResampling] = {
    "Latent": "bilinear",
    "Latent (antialiased)": "smooth_bilinear",
    "Latent (bicubic)": "bicubic",
    "Latent (bicubic antialiased)": "smooth_bicubic",
    "Latent (nearest)": "nearest",
    "Latent (nearest-exact)": "exact_nearest",
}
PassSide = Annotated[Whole, Field(ge=0, le=4096)]


class Txt2ImgBody(DiffusionBody):
    """The fields of the second pass are not looked at unless `enable_hr`."""

    usual_strength = 0.7

    enable_hr: Switch = False
    hr_scale: Annotated[Real, Field(ge=1, le=4)] = 2
    hr_upscaler: Name = "Latent"
    hr_second_pass_steps: Annotated[Whole, Field(ge=0, le=150)] = 0
    hr_resize_x: PassSide = 0
    hr_resize_y: PassSide = 0
    hr_checkpoint_name: Name | None = None
    hr_sampler_name: Name | None = None
    hr_scheduler: Name | None = None
    hr_prompt: Prompt = ""
    hr_negative_prompt: Prompt = ""
    firstphase_width: PassSide = 0
    firstphase_height: PassSide = 0

    @model_validator(mode="before")
    @classmethod
    def _without_second_pass(cls, values: Any) -> Any:
        if not isinstance(values, dict) or _is_on(values.get("enable_hr")):
            return values
        return {
            name: value for name, value in values.items() if not str(name).startswith(SECOND_PASS)
        }

    @property
    def is_first_sized(self) -> bool:
        """Whether the first pass has a size of its own, and `width` and `height` are the last's."""
        return self.enable_hr and self.firstphase_width > 0 and self.firstphase_height > 0

    @property
    def first_size(self) -> Size:
        """Of the first pass."""
        if not self.is_first_sized:
            return self.size
        return Size(width=max(64, self.firstphase_width), height=max(64, self.firstphase_height))

    @property
    def final_size(self) -> Size | None:
        """Of the second pass, None where that is a factor. A side of 0 follows the other one."""
        if self.is_first_sized:
            return self.size
        width, height = self.hr_resize_x, self.hr_resize_y
        if not (width or height):
            return None
        width = width or max(1, round(height * self.width / self.height))
        height = height or max(1, round(width * self.height / self.width))
        return Size(width=width, height=height)


def _is_on(value: Any) -> bool:
    """Whether it says yes; what is no flag at all is refused later."""
    try:
        return SWITCH.validate_python(value)
    except ValidationError:
        return False
