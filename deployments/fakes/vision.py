"""The fakes that look at images: an Upscaler, a DepthEstimator and an ImageDescriber."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from PIL import Image, ImageOps

from deployments.fakes.engine import FakeEngine
from deployments.image.image_upscaling import ImageUpscaling
from deployments.media.image_decoding import DecodedImage, decoded_image
from deployments.media.image_encoding import saved_png
from deployments.media.image_tiles import EnlargedImage
from serve_app.core.image.captioning import DescribeImage, DescriptionEvent, ImageDescription
from serve_app.core.image.depth import (
    ConvertToStereo,
    DepthEvent,
    DepthMap,
    EstimateDepth,
    StereoEvent,
)
from serve_app.core.image.images import Size
from serve_app.core.image.upscaling import (
    UpscaleEvent,
    UpscaleImage,
    UpscaleVideo,
    VideoUpscaleEvent,
)
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.runtime.streams import closing


class FakeUpscaling(FakeEngine):
    """An Upscaler that passes for a trained one and repeats pixels."""

    async def upscale(self, request: UpscaleImage) -> AsyncGenerator[UpscaleEvent]:
        """Every pixel becomes a square."""
        upscaling = ImageUpscaling(_repeated, engine="fake", blobs=self.blobs)
        async with self.working("upscale", request.image.sha256):
            async for event in upscaling.upscale(request):
                yield event

    async def upscale_video(self, request: UpscaleVideo) -> AsyncGenerator[VideoUpscaleEvent]:
        """As `upscale`, every frame."""
        from av.video.reformatter import Interpolation

        from deployments.video.video_scaling import ResampledFrames, VideoScaling

        frames = ResampledFrames(Interpolation.POINT)
        scaling = VideoScaling(frames, engine="fake", blobs=self.blobs)
        async with self.working("upscale_video", request.video.sha256):
            events = scaling.upscale_video(request)
            async with closing(events):
                async for event in events:
                    yield event


class FakeDepth(FakeEngine):
    """A DepthEstimator that takes what is bright for near."""

    async def estimate_depth(self, request: EstimateDepth) -> AsyncGenerator[DepthEvent]:
        """The still in grey, stretched from black to white."""
        async with self.working("estimate_depth", request.image.sha256):
            still = await _read(self, request.image, request.max_pixels)
            yield Progress(phase="depth", current=1, total=1)
        image = ImageOps.autocontrast(still.image.convert("L"))
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "depth.png"
            saved_png(image, target)
            blob = await self.blobs.write_file(target, mime="image/png")
        size = Size(width=image.width, height=image.height)
        yield DepthMap(depth=blob, size=size, warnings=still.warnings)

    async def convert_to_stereo(self, request: ConvertToStereo) -> AsyncGenerator[StereoEvent]:
        """As `estimate_depth`, every frame."""
        import numpy as np

        from deployments.video.stereo_video import StereoConversion

        conversion = StereoConversion(
            lambda image, _: np.asarray(image.convert("L"), dtype=np.float32),
            method=None,
            blobs=self.blobs,
        )
        async with self.working("convert_to_stereo", request.video.sha256):
            events = conversion.convert_to_stereo(request)
            async with closing(events):
                async for event in events:
                    yield event


class FakeCaptions(FakeEngine):
    """An ImageDescriber that measures."""

    async def describe_image(self, request: DescribeImage) -> AsyncGenerator[DescriptionEvent]:
        """`an image of 8 by 6 pixels`, and the question, if any, before it."""
        async with self.working("describe_image", request.image.sha256):
            image = await _read(self, request.image, request.max_pixels)
            yield Progress(phase="describe", current=1, total=1)
        text = f"an image of {image.image.width} by {image.image.height} pixels"
        requested = f"{request.question} " if request.question else ""
        yield ImageDescription(text=requested + text, warnings=image.warnings)


async def _read(engine: FakeEngine, blob: Blob, max_pixels: int) -> DecodedImage:
    async with engine.blobs.local_file(blob) as path:
        return await asyncio.to_thread(decoded_image, path, param="image", max_pixels=max_pixels)


def _repeated(image: Image.Image, scale: int) -> Iterator[Progress | EnlargedImage]:
    yield Progress(phase="upscale", current=1, total=1)
    yield EnlargedImage(
        image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    )
