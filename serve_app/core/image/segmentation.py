"""Segmentation: the objects of an image as masks, pointed at or all that are found."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field
from typing_extensions import override

from serve_app.core.engine import Engine
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import MAX_PIXELS, Size
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.operation import Operation

SegmentMode = Literal["masks", "overlay", "cutout", "all"]
SegmentRole = Literal["mask", "overlay", "cutout"]
Quality = Literal["ml", "best-effort"]


class Point(Message):
    """A place in pixels from the left top corner, on the object or beside it."""

    x: float
    y: float
    is_object: bool = True


class Box(Message):
    """In pixels from the left top corner; `x2` and `y2` are the first ones outside."""

    x1: float
    y1: float
    x2: float
    y2: float

    def holds(self, point: Point) -> bool:
        """Whether the point lies inside."""
        return self.x1 <= point.x <= self.x2 and self.y1 <= point.y <= self.y2


class ImageSegment(Message):
    """A PNG of the image's size: a mask (white is the object), the object alone on nothing, or
    all masks over the image, which has no box. `score` is 0 to 1, `area` in pixels.
    """

    image: Blob
    role: SegmentRole = "mask"
    box: tuple[int, int, int, int] | None = None
    score: float | None = None
    area: int | None = None
    label: str | None = None


class Segments(MediaResult):
    """What was found: in the order of the request's boxes, else the best first. `size` is that of
    every image.
    """

    segments: tuple[ImageSegment, ...]
    size: Size
    engine: str
    quality: Quality

    @override
    def facts(self) -> dict[str, MediaFacts]:
        facts = MediaFacts(width=self.size.width, height=self.size.height)
        return {segment.image.sha256: facts for segment in self.segments}


class SegmentImage(Operation[Segments]):
    """Find objects in `image`. Every box is one object, refined by the points in it; the points of
    the object kind that lie in no box are together one more. Points beside the object count for
    all. With neither, every object that can be found is meant; at most the `max_masks` best. The
    image may have at most `max_pixels`.
    """

    name, task, verb = "image.segment", "segmentation", "segment_image"

    model: str
    image: Blob
    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    mode: SegmentMode = "masks"
    max_masks: int = Field(default=16, ge=1)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)


SegmentEvent = Progress | Segments


class Prompt(Message):
    """One object that was pointed at. `field` is what pointed at it."""

    box: Box | None
    points: tuple[Point, ...]
    field: str


class SegmentationModel(Engine, Protocol):
    """Finds objects."""

    def segment_image(self, request: SegmentImage) -> AsyncIterator[SegmentEvent]:
        """Progress in objects, then the Segments. Raises what `prompts_of` raises, and
        UnsupportedCapability where the model cannot be pointed.
        """
        ...


def prompts_of(request: SegmentImage, size: Size) -> list[Prompt]:
    """The objects pointed at; none means all. InvalidRequest with the path of the point or box
    that does not fit into an image of this size, or when no point is on an object.
    """
    for number, point in enumerate(request.points):
        if not (0 <= point.x <= size.width and 0 <= point.y <= size.height):
            raise _outside(f"points[{number}]", (point.x, point.y), size)
    for number, box in enumerate(request.boxes):
        _check_box(f"boxes[{number}]", box, size)
    check_subject(request)
    inside = [point for point in request.points if point.is_object]
    beside = [point for point in request.points if not point.is_object]
    prompts = [
        Prompt(box=box, points=(*filter(box.holds, inside), *beside), field=f"boxes[{number}]")
        for number, box in enumerate(request.boxes)
    ]
    free = [point for point in inside if not any(box.holds(point) for box in request.boxes)]
    if free:
        prompts.append(Prompt(box=None, points=(*free, *beside), field="points"))
    return prompts


def check_subject(request: SegmentImage) -> None:
    """InvalidRequest when points only say what the object is not."""
    if request.points and not request.boxes and not any(p.is_object for p in request.points):
        raise InvalidRequest("at least one point must be on the object (1)", param="points")


def _check_box(param: str, box: Box, size: Size) -> None:
    corners = (box.x1, box.y1, box.x2, box.y2)
    if not (box.x1 >= 0 and box.y1 >= 0 and box.x2 <= size.width and box.y2 <= size.height):
        raise _outside(param, corners, size)
    if not (box.x1 < box.x2 and box.y1 < box.y2):
        raise InvalidRequest(
            f"{_listed(corners)} is not [x1, y1, x2, y2] with x1 < x2 and y1 < y2",
            param=param,
        )


def _outside(param: str, place: tuple[float, ...], size: Size) -> InvalidRequest:
    return InvalidRequest(
        f"{_listed(place)} lies outside of the image, which is {size.width}x{size.height} pixels",
        param=param,
    )


def _listed(place: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{value:g}' for value in place)}]"
