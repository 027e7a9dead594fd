"""Videos scaled, cropped, marked, cut and converted, without a model."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from serve_app.core.bounds import MAX_STEPS
from serve_app.core.image.images import MAX_PIXELS, Size
from serve_app.core.image.processing_steps import (
    CropStep,
    ScaleStep,
    WatermarkStep,
)
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message
from serve_app.core.operation import Operation
from serve_app.core.tracks import AudioTrack

VideoFileFormat = Literal["mp4", "mov", "webm", "mkv", "avi", "wmv", "mpeg", "ogg"]
VIDEO_FILE_MIME: dict[VideoFileFormat, str] = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "avi": "video/x-msvideo",
    "wmv": "video/x-ms-wmv",
    "mpeg": "video/mpeg",
    "ogg": "video/ogg",
}
KEPT: dict[str, VideoFileFormat] = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-msvideo": "avi",
}
"""Formats that a video keeps where no step converts it."""


class ConvertVideoStep(Message):
    """Write it in this format; of several such steps the last one counts."""

    type: Literal["convert"] = "convert"
    format: VideoFileFormat


class TrimStep(Message):
    """Keep what is seen and heard from `start_s` to `end_s`, None for the end; seconds of what the
    steps before it have left. A frame that is on the screen at `start_s` is the first one.
    """

    type: Literal["trim"] = "trim"
    start_s: float = Field(default=0.0, ge=0)
    end_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError("the end is not after the start")
        return self


VideoStep = Annotated[
    ScaleStep | CropStep | WatermarkStep | TrimStep | ConvertVideoStep,
    Field(discriminator="type"),
]


class ProcessedVideo(MediaResult):
    """The video, upright, in the `format` that was asked for, with the source's audio. Nothing is
    `encoded` of a video whose packets are all the source's own; of one that is cut in the middle of
    a group of pictures, where it can be, its edges.
    """

    video: Blob
    size: Size
    format: VideoFileFormat
    duration_s: float
    encoded: Literal["all", "edges", "nothing"]

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {
            self.video.sha256: MediaFacts(
                width=self.size.width, height=self.size.height, duration_s=self.duration_s
            )
        }


class ProcessVideo(Operation[ProcessedVideo]):
    """Do all `steps` in one pass with at most one encode. Sides that a step scales to are made
    even; a crop is exact. A video that no step converts keeps its format, or becomes an MP4. No
    watermark may have more than `max_pixels`.
    """

    name, task, verb = "video.process", "media", "process_video"

    video: Blob
    steps: tuple[VideoStep, ...] = Field(min_length=1, max_length=MAX_STEPS)
    audio_track: AudioTrack | None = None
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)

    @property
    def format(self) -> VideoFileFormat:
        """Of the file that is written."""
        formats = [step.format for step in self.steps if isinstance(step, ConvertVideoStep)]
        return formats[-1] if formats else KEPT.get(self.video.mime, "mp4")
