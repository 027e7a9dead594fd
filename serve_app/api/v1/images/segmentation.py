"""POST /v1/images/segment."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import CallDep
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import validating_media_first
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Integer, MediaText, ModelName, Number, Text
from serve_app.catalog.segmenter_selection import select_segmenter
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.segmentation import (
    Box,
    ImageSegment,
    Point,
    SegmentImage,
    SegmentMode,
    Segments,
    check_subject,
)
from serve_app.core.media import Blob
from serve_app.core.message import Message

router = APIRouter(tags=["images"], responses=ERRORS)

MAX_MASKS = 256
MAX_POINTS = 1024
Coordinate = Annotated[Number, Field(strict=True)]
Pair = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]
Corners = Annotated[list[Coordinate], Field(min_length=4, max_length=4)]
PointLabel = Annotated[Integer, Field(ge=0, le=1)]


class SegmentBody(JobBody):
    """An image, and the objects to segment."""

    image: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    model: ModelName | None = None
    points: list[Pair] | None = Field(default=None, max_length=MAX_POINTS)
    point_labels: list[PointLabel] | None = Field(default=None, max_length=MAX_POINTS)
    boxes: list[Corners] | None = Field(default=None, max_length=MAX_MASKS)
    mode: SegmentMode | None = None
    max_masks: Annotated[Integer, Field(ge=1, le=MAX_MASKS)] | None = None
    response_format: Text | None = Field(default=None, max_length=50)
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """Accepted for compatibility only."""
        return self.sent("user")

    def places(self) -> tuple[Point, ...]:
        """The points; without labels all lie on the object. InvalidRequest for too many labels or
        too few.
        """
        points = self.points or []
        labels = [1] * len(points) if self.point_labels is None else self.point_labels
        if len(labels) != len(points):
            raise InvalidRequest(
                f"{len(labels)} labels were sent for {len(points)} points",
                remedy="send one per point: 1 on the object, 0 beside it",
                param="point_labels",
            )
        return tuple(
            Point(x=x, y=y, is_object=bool(label))
            for (x, y), label in zip(points, labels, strict=True)
        )

    def to_segment_image(self, model: str, image: Blob, *, max_pixels: int) -> SegmentImage:
        """The operation."""
        boxes = [Box(x1=x1, y1=y1, x2=x2, y2=y2) for x1, y1, x2, y2 in self.boxes or ()]
        operation = SegmentImage(
            model=model,
            image=image,
            points=self.places(),
            boxes=tuple(boxes),
            mode=self.mode or "masks",
            max_masks=self.max_masks or 16,
            max_pixels=max_pixels,
        )
        with renamed_error_fields({"points": "point_labels"}):
            check_subject(operation)
        return operation


@router.post("/v1/images/segment")
async def segment(body: SegmentBody, call: CallDep) -> Response:
    """Segment an image: the objects at points and in boxes, or all objects."""
    context = call.context
    output = media_output(body.response_format, "image")
    body.places()
    async with validating_media_first(context, ("image", body.image, "image")):
        has_prompts = bool(body.points or body.boxes)
        model = select_segmenter(context.catalog, body.model, has_prompts=has_prompts).id
    image = await context.intake.take(body.image, param="image", kind="image")
    operation = body.to_segment_image(model, image, max_pixels=context.config.limits.image_pixels)
    return await job_answer(call, body, operation, output)


async def segments_body(finished: Finished[Message, Segments, MediaOutput]) -> AnswerBody:
    """An item for each object that was found."""
    segments = finished.result
    items = [await media_item(finished, found.image) | _facts(found) for found in segments.segments]
    return result_envelope(finished, *items) | {
        "engine": segments.engine,
        "quality": segments.quality,
    }


def _facts(segment: ImageSegment) -> dict[str, Any]:
    """What is known of a segment; masks need no role."""
    known: dict[str, Any] = {} if segment.role == "mask" else {"role": segment.role}
    if segment.box is not None:
        known |= {"box": list(segment.box), "score": segment.score, "area": segment.area}
    return known if segment.label is None else known | {"label": segment.label}


ANSWERS = (Answer(SegmentImage, MediaOutput, segments_body),)
