"""What scales, crops, marks, cuts and converts videos."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict

from serve_app.api.ai_server.audio_operations import BAD_FORMAT, NO_FORMAT
from serve_app.api.ai_server.given_files import GivenFiles
from serve_app.api.ai_server.image_processing import (
    BAD_SCALE,
    NO_MARK,
    Corner,
    Factor,
    Opacity,
    crop_step,
    watermark_step,
)
from serve_app.api.ai_server.known_models import check_media
from serve_app.api.ai_server.operation_body import OperationBody
from serve_app.api.ai_server.scalars import NOT_EMPTY, Whole, Words, above, between, one_of
from serve_app.api.ai_server.service_error import ServiceError
from serve_app.api.call import Call
from serve_app.core.image.processing_steps import ScaleStep
from serve_app.core.operation import Operation
from serve_app.core.video.video_processing import (
    VIDEO_FILE_MIME,
    ConvertVideoStep,
    ProcessVideo,
    TrimStep,
    VideoFileFormat,
    VideoStep,
)

FORMATS: dict[str, VideoFileFormat] = {name: name for name in VIDEO_FILE_MIME} | {"mvk": "mkv"}
"""The published enumeration spells `mkv` as `MVK`."""
BAD_START, BAD_END = "Invalid start time format", "Invalid end time format"
NO_VIDEO = "No video file provided"
TIME = re.compile(r"(?:([0-9]{1,3}):)?([0-9]{1,3}):([0-9]{2})(?:\.([0-9]{1,3}))?")
MP4 = ConvertVideoStep(format="mp4")


class VideoFields(OperationBody):
    """A video, to which something is done."""

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:
        """The operation."""
        check_media(call.context.catalog)
        video = await files.take("video", ServiceError(NO_VIDEO))
        return ProcessVideo(
            video=video,
            steps=await self.steps(files),
            max_pixels=call.context.config.limits.image_pixels,
        )

    async def steps(self, files: GivenFiles) -> tuple[VideoStep, ...]:
        """What is done."""
        raise NotImplementedError


class ScaleVideoFields(VideoFields):
    """ScaleVideo: one side alone keeps the ratio."""

    width: Annotated[Whole, between(1, 7680)] | None = None
    height: Annotated[Whole, between(1, 4320)] | None = None

    async def steps(self, files: GivenFiles) -> tuple[VideoStep, ...]:  # noqa: ARG002
        """The step."""
        if self.width is None and self.height is None:
            raise ServiceError(BAD_SCALE)
        return (ScaleStep(width=self.width, height=self.height),)


class CropVideoFields(VideoFields):
    """CropVideo."""

    x: Whole = 0
    y: Whole = 0
    width: Annotated[Whole, above(0)] = 0
    height: Annotated[Whole, above(0)] = 0

    model_config = ConfigDict(validate_default=True)

    async def steps(self, files: GivenFiles) -> tuple[VideoStep, ...]:  # noqa: ARG002
        """The steps."""
        return crop_step(self.x, self.y, self.width, self.height), MP4


class WatermarkVideoFields(VideoFields):
    """WatermarkVideo. Of `watermark_scale` and `opacity` 0 means not given."""

    position: Corner = "bottom_right"
    watermark_scale: Factor = 0.2
    opacity: Opacity = 1.0

    async def steps(self, files: GivenFiles) -> tuple[VideoStep, ...]:
        """The steps."""
        mark = await files.take("watermark", ServiceError(NO_MARK))
        scale, opacity = self.watermark_scale or 0.2, self.opacity or 1.0
        return watermark_step(mark, self.position, scale, opacity), MP4


class ConvertVideoFields(VideoFields):
    """ConvertVideo."""

    output_format: (
        Annotated[VideoFileFormat, BeforeValidator(one_of(FORMATS, otherwise=BAD_FORMAT))] | None
    ) = None

    async def steps(self, files: GivenFiles) -> tuple[VideoStep, ...]:  # noqa: ARG002
        """The step."""
        if self.output_format is None:
            raise ServiceError(NO_FORMAT)
        return (ConvertVideoStep(format=self.output_format),)


class TrimVideoFields(VideoFields):
    """TrimVideo: what is from `start_time` to `end_time`, or to the end."""

    start_time: Annotated[Words, NOT_EMPTY]
    end_time: Words | None = None

    async def steps(self, files: GivenFiles) -> tuple[VideoStep, ...]:  # noqa: ARG002
        """The steps."""
        start = seconds_of(self.start_time, BAD_START)
        end = seconds_of(self.end_time, BAD_END) if (self.end_time or "").strip() else None
        if end is not None and end <= start:
            raise ServiceError("The end time must be after the start time")
        return TrimStep(start_s=start, end_s=end), MP4


def seconds_of(text: str | None, problem: str) -> float:
    """`m:ss`, `mm:ss`, `mmm:ss` and `h:mm:ss`, each with up to three decimals."""
    found = TIME.fullmatch((text or "").strip())
    if found is None:
        raise ServiceError(problem)
    hours, minutes, seconds, part = found.groups()
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    if int(seconds) > 59 or (hours and int(minutes) > 59):
        raise ServiceError(problem)
    return whole + int((part or "0").ljust(3, "0")) / 1000
