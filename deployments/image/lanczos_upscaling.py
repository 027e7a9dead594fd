"""Upscaling without a model: Lanczos resampling, which adds no detail."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from PIL import Image

from deployments.image.image_tiles import LANCZOS, Enlarged
from deployments.image.image_upscaling import ImageUpscaling
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.upscaling import (
    UpscaleEvent,
    UpscaleImage,
    UpscaleVideo,
    VideoUpscaleEvent,
)
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.image import LanczosOptions

WARNING = (
    "engine: resized by Lanczos resampling, which adds no detail; no trained upscaler was used"
)


class LanczosUpscaling:
    """An Upscaler that says that it is none."""

    context_length: int | None = None

    def __init__(
        self,
        options: LanczosOptions,
        model: Model,  # noqa: ARG002 - every engine is constructed alike
        *,
        path: Path | None,  # noqa: ARG002
        blobs: BlobStore,
    ) -> None:
        self._engine, self._blobs = options.engine, blobs
        self._upscaling = ImageUpscaling(_resized, engine=options.engine, blobs=blobs)

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to free."""

    def upscale(self, request: UpscaleImage) -> AsyncGenerator[UpscaleEvent]:
        """See Upscaler."""
        self._check_allowed(request)
        return self._upscaling.upscale(request)

    def upscale_video(self, request: UpscaleVideo) -> AsyncGenerator[VideoUpscaleEvent]:
        """See Upscaler."""
        from av.video.reformatter import Interpolation

        from deployments.video.video_scaling import ResampledFrames, VideoScaling

        self._check_allowed(request)
        frames = ResampledFrames(Interpolation.LANCZOS, WARNING)
        return VideoScaling(frames, engine=self._engine, blobs=self._blobs).upscale_video(request)

    def _check_allowed(self, request: UpscaleImage | UpscaleVideo) -> None:
        if not request.allows_resize:
            raise BackendUnavailable(
                f"model {request.model!r} only resizes; allow that with 'allow_resize': true",
                param="allow_resize",
                provider=self._engine,
            )


def _resized(image: Image.Image, scale: int) -> Iterator[Progress | Enlarged]:
    size = (image.width * scale, image.height * scale)
    yield Progress(phase="upscale", current=0, total=1)
    yield Enlarged(image.resize(size, LANCZOS), (WARNING,))
