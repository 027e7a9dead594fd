"""The bodies of the routes that enlarge images."""

from typing import Annotated

from pydantic import Field

from serve_app.api.automatic1111.diffusion_body import Name, Share
from serve_app.api.automatic1111.numbers import Real, Switch, Whole
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import MediaText, Text
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import Size

SentFile = Annotated[MediaText, Field(min_length=1, max_length=MEDIA_CHARACTERS)]
MOST_FILES = 100
LONGEST_SIDE = 32_768
PassSize = Annotated[Whole, Field(ge=1, le=LONGEST_SIDE)]


class ExtrasBody(WireObject):
    """By how much, or to what size, and by what."""

    resize_mode: Annotated[Whole, Field(ge=0, le=1)] = 0
    show_extras_results: Switch = True
    gfpgan_visibility: Share = 0
    codeformer_visibility: Share = 0
    codeformer_weight: Share = 0
    upscaling_resize: Annotated[Real, Field(gt=0, le=8)] = 2
    upscaling_resize_w: PassSize = 512
    upscaling_resize_h: PassSize = 512
    upscaling_crop: Switch = True
    upscaler_1: Name = "None"
    upscaler_2: Name = "None"
    extras_upscaler_2_visibility: Share = 0
    upscale_first: Switch = False

    def check_restorers(self) -> None:
        """InvalidRequest where a face restorer is to be seen: there is none."""
        for name in ("gfpgan_visibility", "codeformer_visibility"):
            if getattr(self, name) > 0:
                raise InvalidRequest("no face restorer is available", remedy="use 0", param=name)

    def factor(self, size: Size) -> float:
        """By how much an image of this size is enlarged."""
        if self.resize_mode == 0:
            return self.upscaling_resize
        return max(self.upscaling_resize_w / size.width, self.upscaling_resize_h / size.height)

    def enlarged(self, size: Size) -> Size:
        """What becomes of a size, before anything is cropped."""
        factor = self.factor(size)
        sides = (max(1, round(side * factor)) for side in (size.width, size.height))
        width, height = sides
        return Size(width=width, height=height)

    def cropped(self, size: Size) -> Size | None:
        """The part in the middle that is left of it; None where all is."""
        wanted = Size(width=self.upscaling_resize_w, height=self.upscaling_resize_h)
        is_cropped = self.resize_mode == 1 and self.upscaling_crop and wanted != size
        return wanted if is_cropped else None


class ExtraSingleBody(ExtrasBody):
    """One image."""

    image: SentFile


class NamedFile(WireObject):
    """An image of several; its name has no meaning here."""

    data: SentFile
    name: Annotated[Text, Field(max_length=1000)] = ""


class ExtraBatchBody(ExtrasBody):
    """Several images."""

    files: Annotated[list[NamedFile], Field(min_length=1, max_length=MOST_FILES)] = Field(
        alias="imageList"
    )
