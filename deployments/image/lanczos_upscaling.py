"""Upscaling without a model: Lanczos resampling, which adds no detail."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from PIL import Image
from typing_extensions import override

from deployments.image.image_upscaling import ImageUpscaling
from deployments.media.image_tiles import LANCZOS, EnlargedImage
from deployments.model_engine import ModelEngine
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.upscaling import (
    UpscaleEvent,
    UpscaleImage,
    Upscaler,
    UpscaleVideo,
    VideoUpscaleEvent,
)
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.image import LanczosOptions

WARNING = Notice(
    field="engine",
    text="resized by Lanczos resampling, which adds no detail; no trained upscaler was used",
)


class LanczosUpscaling(ModelEngine[LanczosOptions], Upscaler):
    """An Upscaler that says that it is none."""

    def __init__(
        self,
        options: LanczosOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._upscaling = ImageUpscaling(_resized, engine=options.engine, blobs=blobs)

    @override
    def upscale(self, request: UpscaleImage) -> AsyncGenerator[UpscaleEvent]:
        self._check_allowed(request)
        return self._upscaling.upscale(request)

    @override
    def upscale_video(self, request: UpscaleVideo) -> AsyncGenerator[VideoUpscaleEvent]:
        from av.video.reformatter import Interpolation

        from deployments.video.video_scaling import ResampledFrames, VideoScaling

        self._check_allowed(request)
        frames = ResampledFrames(Interpolation.LANCZOS, WARNING)
        scaling = VideoScaling(frames, engine=self.options.engine, blobs=self.blobs)
        return scaling.upscale_video(request)

    def _check_allowed(self, request: UpscaleImage | UpscaleVideo) -> None:
        if not request.allows_resize:
            raise BackendUnavailable(
                f"model {request.model!r} only resizes",
                remedy="allow that, or choose another model",
                param="allows_resize",
                provider=self.options.engine,
            )


def _resized(image: Image.Image, scale: int) -> Iterator[Progress | EnlargedImage]:
    size = (image.width * scale, image.height * scale)
    yield Progress(phase="upscale", current=0, total=1)
    yield EnlargedImage(image.resize(size, LANCZOS), (WARNING,))
