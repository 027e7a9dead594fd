"""Reference images out of images and videos: faces cut out, or whole frames."""

from collections.abc import Callable, Generator, Iterator
from contextlib import AsyncExitStack
from contextlib import closing as closed
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from PIL import Image, ImageFilter, ImageStat

from deployments.image.face_media import Find
from deployments.media.image_decoding import decoded_image
from deployments.media.image_encoding import png_bytes
from deployments.video.video_decoding import probed, shown_frames
from serve_app.core.containers import opened_container
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.face_swap import ExtractedImages, ExtractImages
from serve_app.core.media import BlobStore
from serve_app.core.time_line import may_jump
from serve_app.core.tracks import image_track
from serve_app.runtime.streams import closing, once
from serve_app.runtime.threads import in_thread

LONG_EDGE_PX = 1024
SHARPNESS_PX = 256
CANDIDATES = 4
"""Frames looked at for each one that is kept."""
FACE_MARGIN = 0.4
"""What is kept around a face, as a part of its side."""
Stop = Callable[[], bool]


class CandidateFrame(NamedTuple):
    """One candidate; a face goes before none, then the sharper one."""

    has_face: bool
    sharpness: float
    image: Image.Image


async def extracted(request: ExtractImages, find: Find, blobs: BlobStore) -> ExtractedImages:
    """PNG files of what is asked for: from the images first, then from the videos."""
    looking = find if request.what == "faces" else None
    async with AsyncExitStack() as stack:
        local = stack.enter_async_context
        made = [await local(blobs.local_file(blob)) for blob in request.images[: request.count]]
        videos = [await local(blobs.local_file(blob)) for blob in request.videos]
        work = in_thread(lambda stop: images(request, looking, made, videos, stop))
        written = []
        async with closing(work):
            async for data in work:
                written.append(await blobs.write(once(data), mime="image/png"))
    return ExtractedImages(images=tuple(written))


def images(
    request: ExtractImages, find: Find | None, made: list[Path], videos: list[Path], stop: Stop
) -> Generator[bytes]:
    """PNG files: of the images first, then of the videos, as many as there is room for. Blocks."""
    room = request.count
    for number, path in enumerate(made[:room]):
        if stop():
            return
        param = f"images[{number}]"
        image = decoded_image(path, param=param, max_pixels=request.max_pixels).image
        yield png_bytes(_shot(image, find).image)
        room -= 1
    for number, path in enumerate(videos):
        share = -(-room // (len(videos) - number))
        for image in _video_images(path, share, find, f"videos[{number}]", stop):
            yield png_bytes(image)
            room -= 1


def _video_images(
    path: Path, count: int, find: Find | None, param: str, stop: Stop
) -> list[Image.Image]:
    """The best frame of each of `count` equal stretches, in order; where faces are looked for and
    found, of those with one only.
    """
    best: dict[int, CandidateFrame] = {}
    for number, image in _spread_frames(path, count * CANDIDATES, param):
        if stop():
            break
        shot = _shot(image, find)
        held = best.setdefault(number // CANDIDATES, shot)
        if shot[:2] > held[:2]:
            best[number // CANDIDATES] = shot
    has_faces = any(shot.has_face for shot in best.values())
    return [shot.image for shot in best.values() if shot.has_face or not has_faces]


def _shot(image: Image.Image, find: Find | None) -> CandidateFrame:
    """The largest face with what is around it, or the whole image; no larger than needed."""
    faces = find(np.array(image)) if find else []
    if faces:
        left, top, right, bottom = faces[0].box
        margin = round(FACE_MARGIN * faces[0].side)
        wide, high = right + margin, bottom + margin
        box = max(0, left - margin), max(0, top - margin), min(image.width, wide), high
        image = image.crop((*box[:3], min(image.height, high)))
    small = image.copy()
    small.thumbnail((LONG_EDGE_PX, LONG_EDGE_PX))
    return CandidateFrame(bool(faces), _sharpness(small), small)


def _spread_frames(path: Path, count: int, param: str) -> Iterator[tuple[int, Image.Image]]:
    """Up to `count` different frames in the middles of as many equal stretches, upright, each with
    its stretch. InvalidRequest for what is no video.
    """
    video = probed(path, param=param)
    try:
        with opened_container(path) as container:
            if may_jump(container):
                yield from _passing_frames(path, count, video.duration_s or 0, param)
                return
            stream = image_track(container)
            length_s = _length_s(container, stream)
            last: int | None = None
            for number in range(count):
                frame = _frame_at(container, stream, (number + 0.5) * length_s / count)
                if frame is not None and (last is None or frame.pts != last):
                    last = frame.pts
                    yield number, _upright(frame)
    except av.FFmpegError:
        raise InvalidRequest("the video cannot be decoded", param=param) from None


def _passing_frames(
    path: Path, count: int, length_s: float, param: str
) -> Iterator[tuple[int, Image.Image]]:
    """As `_spread_frames`, of what may be joined of several videos and so cannot be sought in."""
    number = 0
    with closed(shown_frames(path, param=param)) as frames:
        for shown in frames:
            if shown.at_s < (number + 0.5) * length_s / count:
                continue
            yield number, Image.fromarray(shown.pixels())
            while number < count and shown.at_s >= (number + 0.5) * length_s / count:
                number += 1
            if number == count:
                return


def _length_s(container: Any, stream: Any) -> float:
    """Recordings of browsers do not say how long they are; their packets do."""
    if container.duration:
        return float(container.duration / av.time_base)
    shown = (packet.pts for packet in container.demux(stream) if packet.pts is not None)
    return float(max(shown, default=0) * stream.time_base)


def _frame_at(container: Any, stream: Any, at_s: float) -> Any:
    """The first frame that is shown then or later, else the last one; None without any."""
    begin_s = float((stream.start_time or 0) * stream.time_base)
    container.seek(round((begin_s + at_s) * av.time_base))
    frame = None
    for frame in container.decode(stream):
        if frame.time is None or frame.time - begin_s >= at_s:
            break
    return frame


def _upright(frame: Any) -> Image.Image:
    turns = round(frame.rotation / 90) % 4
    return Image.fromarray(np.rot90(frame.to_ndarray(format="rgb24"), k=turns))


def _sharpness(image: Image.Image) -> float:
    """The variance of the edges: what is out of focus has few."""
    grey = image.convert("L")
    grey.thumbnail((SHARPNESS_PX, SHARPNESS_PX))
    return float(ImageStat.Stat(grey.filter(ImageFilter.FIND_EDGES)).var[0])
