"""What all segmentation engines share: an image read, masks written as files, and the result."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from deployments.media.image_decoding import decoded_image
from deployments.media.image_encoding import png_bytes
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import Size
from serve_app.core.image.segmentation import (
    ImageSegment,
    Prompt,
    Quality,
    SegmentEvent,
    SegmentImage,
    SegmentMode,
    SegmentRole,
    Segments,
    prompts_of,
)
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.runtime.streams import closing, once
from serve_app.runtime.threads import in_thread

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#42d4f4", "#f032e6", "#bfef45")
"""Of the masks in an overlay, one after the other."""
OPACITY = 0.5
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Mask:
    """`image` is L of the image's size, 255 on the object and 0 beside it. `opacity` has the steps
    between, where they are known; a cutout ends as softly as it says.
    """

    image: Image.Image
    score: float
    label: str | None = None
    opacity: Image.Image | None = None


@dataclass(frozen=True)
class SegmentFile:
    """A PNG file, and the mask it was made of, if of one."""

    data: bytes
    role: SegmentRole
    mask: Mask | None = None


@dataclass(frozen=True)
class SegmentationOutcome:
    """Of the work in the thread."""

    size: Size
    warnings: tuple[Notice, ...]


Find = Callable[[Image.Image, list[Prompt], Stop], Iterator[Progress | Mask]]
"""One mask per prompt, in order, empty where nothing is found; without prompts one per object, the
best first. Blocks; ends early when told to stop.
"""


async def stored_segments(
    request: SegmentImage,
    find: Find,
    blobs: BlobStore,
    *,
    engine: str,
    quality: Quality,
    warnings: tuple[Notice, ...] = (),
    executor: Executor | None = None,
) -> AsyncGenerator[SegmentEvent]:
    """The events of one request; see SegmentationModel."""
    segments: list[ImageSegment] = []
    ending: SegmentationOutcome | None = None
    async with blobs.local_file(request.image) as path:
        work = in_thread(lambda stop: segmented(request, path, find, stop), executor)
        async with closing(work):
            async for item in work:
                match item:
                    case Progress():
                        yield item
                    case SegmentFile():
                        blob = await blobs.write(once(item.data), mime="image/png")
                        segments.append(_segment(blob, item))
                    case SegmentationOutcome():
                        ending = item
    assert ending is not None
    yield Segments(
        segments=tuple(segments),
        size=ending.size,
        engine=engine,
        quality=quality,
        warnings=(*ending.warnings, *warnings),
    )


def segmented(
    request: SegmentImage, path: Path, find: Find, stop: Stop
) -> Iterator[Progress | SegmentFile | SegmentationOutcome]:
    """The whole work on one image; blocks."""
    image = decoded_image(path, param="image", max_pixels=request.max_pixels)
    size = Size(width=image.image.width, height=image.image.height)
    prompts = prompts_of(request, size)
    if len(prompts) > request.max_masks:
        raise InvalidRequest(
            f"the points and boxes select {len(prompts)} objects, which is more than "
            f"{request.max_masks}",
            param="max_masks",
        )
    sheet = SegmentSheet(image.image, request.mode)
    warnings: list[Notice] = list(image.warnings)
    masks = 0
    for item in find(image.image, prompts, stop):
        if isinstance(item, Progress):
            yield item
            continue
        masks += 1
        if masks > request.max_masks:
            said = f"only the best {request.max_masks} masks were kept"
            warnings.append(Notice(field="max_masks", text=said))
            break
        if item.image.getbbox() is None:
            field = prompts[masks - 1].field if prompts else "image"
            warnings.append(Notice(field=field, text="no object was found there"))
            continue
        yield from sheet.add(item)
    yield from sheet.overlay()
    if not masks:
        warnings.append(Notice(field="image", text="no object was found"))
    yield SegmentationOutcome(size, tuple(warnings))


class SegmentSheet:
    """The files of one image in one mode."""

    def __init__(self, image: Image.Image, mode: SegmentMode) -> None:
        self._image = image
        self._mode = mode
        self._count = 0
        self._covered = image

    def add(self, mask: Mask) -> Generator[SegmentFile]:
        """The files of one mask."""
        if self._mode in ("overlay", "all"):
            self._cover(mask.image)
        if self._mode in ("masks", "all"):
            yield SegmentFile(png_bytes(mask.image), "mask", mask)
        if self._mode in ("cutout", "all"):
            cutout = self._image.convert("RGBA")
            cutout.putalpha(mask.opacity or mask.image)
            yield SegmentFile(png_bytes(cutout), "cutout", mask)

    def overlay(self) -> Generator[SegmentFile]:
        """All masks over the image."""
        if self._mode in ("overlay", "all"):
            yield SegmentFile(png_bytes(self._covered), "overlay")

    def _cover(self, mask: Image.Image) -> None:
        colour = Image.new("RGB", mask.size, COLOURS[self._count % len(COLOURS)])
        blended = Image.blend(self._covered, colour, OPACITY)
        self._covered = Image.composite(blended, self._covered, mask)
        self._count += 1


def _segment(blob: Blob, found: SegmentFile) -> ImageSegment:
    mask = found.mask
    if mask is None:
        return ImageSegment(image=blob, role=found.role)
    return ImageSegment(
        image=blob,
        role=found.role,
        box=mask.image.getbbox(),
        score=min(1.0, max(0.0, round(mask.score, 6))),
        area=mask.image.histogram()[255],
        label=mask.label,
    )
