"""A request's media as local files, and a finished file as a result."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deployments.media.image_decoding import decoded_image
from deployments.media.image_sources import flattened
from serve_app.core.image.images import MAX_PIXELS, Size
from serve_app.core.media import Blob, BlobStore
from serve_app.core.notices import Notice
from serve_app.core.video.generation import GeneratedVideo, GenerateVideo

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class VideoFiles:
    """The files of a request, None where it has none."""

    image: Path | None
    end_image: Path | None
    video: Path | None
    cond_frames: tuple[Path, ...]

    @classmethod
    async def of(
        cls, request: GenerateVideo, local: Callable[[Blob], Awaitable[Path]]
    ) -> "VideoFiles":
        """`local` gives the file of a blob."""

        async def path(blob: Blob | None) -> Path | None:
            return None if blob is None else await local(blob)

        return cls(
            image=await path(request.image),
            end_image=await path(request.end_image),
            video=await path(request.video),
            cond_frames=tuple([await local(blob) for blob in request.cond_frames]),
        )

    def first_image(self) -> Pixels | None:
        """The image, or the last of the frames to go on from. Blocks."""
        if self.image is not None:
            return image(self.image, param="image")
        if self.cond_frames:
            last = len(self.cond_frames) - 1
            return image(self.cond_frames[last], param=f"cond_frames[{last}]")
        return None


@dataclass(frozen=True)
class VideoFile:
    """What is known of a file that was written."""

    size: Size
    fps: float
    num_frames: int
    duration_s: float
    seed: int
    warnings: tuple[Notice, ...] = ()


def image(path: Path, *, param: str) -> Pixels:
    """An image file as RGB, upright, on white where it is not opaque. Blocks. InvalidRequest and
    PayloadTooLarge with `param` for what cannot be used.
    """
    decoded = decoded_image(path, param=param, max_pixels=MAX_PIXELS)
    return np.array(flattened(decoded))


async def stored_video(blobs: BlobStore, path: Path, video: VideoFile) -> GeneratedVideo:
    """The result, its file in the store."""
    return GeneratedVideo(
        video=await blobs.write_file(path, mime="video/mp4"),
        size=video.size,
        fps=video.fps,
        num_frames=video.num_frames,
        duration_s=video.duration_s,
        seed=video.seed,
        warnings=video.warnings,
    )
