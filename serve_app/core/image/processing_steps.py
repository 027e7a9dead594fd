"""What is done to images and videos without a model: the steps that both have."""

from typing import Literal, Self

from pydantic import Field, model_validator

from serve_app.core.media import Blob
from serve_app.core.message import Message

Position = Literal["top_left", "top_right", "bottom_left", "bottom_right", "center"]
Resampling = Literal["smooth", "nearest"]
"""How pixels are made of others: of all that are near, or of the nearest alone."""
MARGIN_PX = 10
"""Between a watermark and the sides that it is next to."""


class ScaleStep(Message):
    """Resize to exactly `width` and `height`. A missing side follows the other one with
    `keeps_ratio`, else it stays as it is.
    """

    type: Literal["scale"] = "scale"
    width: int | None = Field(default=None, ge=1)
    height: int | None = Field(default=None, ge=1)
    keeps_ratio: bool = True
    resampling: Resampling = "smooth"

    @model_validator(mode="after")
    def _has_a_side(self) -> Self:
        if self.width is None and self.height is None:
            raise ValueError("a step that scales needs a width, a height or both")
        return self


class CropStep(Message):
    """Cut out the pixels from `x` and `y`, which are counted from the top left, on."""

    type: Literal["crop"] = "crop"
    x: int = Field(default=0, ge=0)
    y: int = Field(default=0, ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class WatermarkStep(Message):
    """Lay an image over it. `scale` is a factor of the mark's own size; a mark that does not fit is
    shrunk until it does. `opacity` multiplies its own transparency.
    """

    type: Literal["watermark"] = "watermark"
    image: Blob
    position: Position = "bottom_right"
    scale: float = Field(default=1.0, gt=0, le=10)
    opacity: float = Field(default=1.0, ge=0, le=1)
