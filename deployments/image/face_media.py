"""Images and videos with other faces in them, for every engine that finds and swaps faces."""

import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from deployments.image.face_finding import Face, Pixels
from deployments.media.image_decoding import DecodedImage, decoded_image
from deployments.media.image_encoding import saved_png
from deployments.video.remade_video import video_warnings
from deployments.video.video_decoding import ProbedVideo, probed, video_frames
from deployments.video.video_encoding import VideoWriter
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.face_swap import FaceSwapEvent, SwapFaces, SwappedFaces
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.runtime.streams import closing as closing_stream
from serve_app.runtime.threads import in_thread

Stop = Callable[[], bool]
Find = Callable[[Pixels], list[Face]]
"""The faces in an RGB image, the largest first. Blocks."""
Swap = Callable[[Pixels, Face], Pixels]
"""An RGB image with another face in place of this one; the image itself where that cannot be
done. Blocks.
"""
NO_FACE = Notice(field="target", text="no face was found; it is returned unchanged")


class FaceTools(Protocol):
    """What an engine brings."""

    def find(self, pixels: Pixels) -> list[Face]:
        """The faces of an RGB image, the largest first. Blocks."""
        ...

    def swapper(self, pixels: Pixels, face: Face) -> Swap:
        """What puts this face of an image into others."""
        ...


@dataclass(frozen=True)
class SwapOutcome:
    """What was written, or, without a face, was not."""

    faces: int
    width: int
    height: int
    duration_s: float | None = None
    warnings: tuple[Notice, ...] = ()


async def swap_events(
    request: SwapFaces,
    tools: FaceTools,
    blobs: BlobStore,
    *,
    executor: Executor | None = None,
    warnings: tuple[Notice, ...] = (),
) -> AsyncGenerator[FaceSwapEvent]:
    """The events of one request; see FaceModel."""
    swapped: SwapOutcome | None = None
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="faces-"))
        made = Path(folder) / "made"
        source = await stack.enter_async_context(blobs.local_file(request.source_face))
        target = await stack.enter_async_context(blobs.local_file(request.target))
        work = in_thread(lambda stop: _work(request, tools, source, target, made, stop), executor)
        async with closing_stream(work):
            async for item in work:
                if isinstance(item, Progress):
                    yield item
                else:
                    swapped = item
        assert swapped is not None
        mime = "image/png" if request.target_type == "image" else "video/mp4"
        media = await blobs.write_file(made, mime=mime) if swapped.faces else request.target
    yield SwappedFaces(
        media=media,
        faces_swapped=swapped.faces,
        width=swapped.width,
        height=swapped.height,
        duration_s=swapped.duration_s,
        warnings=(*swapped.warnings, *(warnings if swapped.faces else (NO_FACE,))),
    )


def _work(
    request: SwapFaces, tools: FaceTools, source: Path, target: Path, made: Path, stop: Stop
) -> Iterator[Progress | SwapOutcome]:
    shown = decoded_image(source, param="source_face", max_pixels=request.max_pixels)
    pixels = np.array(shown.image)
    faces = tools.find(pixels)
    if not faces:
        raise InvalidRequest(
            "no face was found in the source",
            remedy="send an image that shows one from the front",
            param="source_face",
        )
    change = FaceSwap(tools, tools.swapper(pixels, faces[0]), request.faces == "largest")
    if request.target_type == "image":
        yield from _image(request, change, target, made, shown.warnings)
    else:
        yield from _video(change, target, made, shown.warnings, stop)


class FaceSwap:
    """What is done to every image and frame."""

    def __init__(self, tools: FaceTools, swap: Swap, only_largest: bool) -> None:
        self._tools = tools
        self._swap = swap
        self._only_largest = only_largest

    def __call__(self, pixels: Pixels) -> tuple[Pixels, int]:
        """The image, and how many faces were swapped in it."""
        faces = self._tools.find(pixels)
        count = 0
        for face in faces[:1] if self._only_largest else faces:
            changed = self._swap(pixels, face)
            count += changed is not pixels
            pixels = changed
        return pixels, count


def _image(
    request: SwapFaces, change: FaceSwap, target: Path, made: Path, warnings: tuple[Notice, ...]
) -> Iterator[Progress | SwapOutcome]:
    image = decoded_image(target, param="target", max_pixels=request.max_pixels)
    pixels, count = change(np.array(image.image))
    if count:
        saved_png(_with_alpha(pixels, image), made, colours=image.colours)
    yield Progress(phase="swap", current=1, total=1)
    width, height = image.image.size
    yield SwapOutcome(count, width, height, warnings=(*warnings, *image.warnings))


def _with_alpha(pixels: Pixels, still: DecodedImage) -> Image.Image:
    image = Image.fromarray(pixels)
    if still.alpha is not None:
        image.putalpha(still.alpha)
    return image


def _video(
    change: FaceSwap, target: Path, made: Path, warnings: tuple[Notice, ...], stop: Stop
) -> Iterator[Progress | SwapOutcome]:
    """Frame by frame, so that a long video takes no more memory than a short one."""
    video = probed(target, param="target")
    most = 0
    with (
        VideoWriter(
            made, video.size, fps=video.fps, audio=target, is_timed=True, keeps_audio=True
        ) as writer,
        closing(video_frames(target, param="target")) as frames,
    ):
        for frame in frames:
            if stop():
                return
            pixels, count = change(frame.pixels)
            most = max(most, count)
            writer.write(pixels, at_s=frame.at_s)
            yield _progress(writer.num_frames, video)
        writer.finish()
    size = writer.size
    all_warnings = (*warnings, *video_warnings(video))
    yield SwapOutcome(most, size.width, size.height, writer.duration_s, all_warnings)


def _progress(done: int, video: ProbedVideo) -> Progress:
    total = None if video.num_frames is None else max(done, video.num_frames)
    return Progress(phase="swap", current=done, total=total)
