"""POST /sdapi/v1/extra-single-image and /sdapi/v1/extra-batch-images."""

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.automatic1111.extras_body import ExtraBatchBody, ExtrasBody, ExtraSingleBody
from serve_app.api.automatic1111.upscaler_names import Resizing, upscaler_named
from serve_app.api.call import Call, CallDep
from serve_app.api.context import Context
from serve_app.api.json_answer import StoredBase64, json_response
from serve_app.api.runs import run_to_result
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.image.image_processing import (
    ConvertImageStep,
    ImageStep,
    ProcessImage,
)
from serve_app.core.image.image_texts import image_size
from serve_app.core.image.images import Size
from serve_app.core.image.processing_steps import CropStep, ScaleStep, WatermarkStep
from serve_app.core.image.upscaling import Scale, UpscaleImage
from serve_app.core.media import Blob
from serve_app.core.operation import Operation, R

router = APIRouter(tags=["images"], strict_content_type=False)
SCALES: tuple[Scale, ...] = (2, 3, 4, 8)
Way = Resizing | CatalogEntry


class Extras:
    """Enlarges the images of one request, each by a job per model and one for the rest."""

    def __init__(self, call: Call, body: ExtrasBody) -> None:
        body.check_restorers()
        catalog = call.context.catalog
        self._call = call
        self._body = body
        self._first = upscaler_named(catalog, body.upscaler_1, param="upscaler_1")
        self._second = upscaler_named(catalog, body.upscaler_2, param="upscaler_2")
        self.job_id = ""

    async def made(self, image: Blob, *, param: str) -> Blob:
        """The enlarged image as PNG."""
        size = await size_of(self._call.context, image, param=param)
        if self._first == "None":
            return await self._processed(image, (ConvertImageStep(format="png"),))
        target = self._body.enlarged(size)
        enlarged, steps = await self._enlarged(image, size, target, self._first)
        share = self._body.extras_upscaler_2_visibility
        if self._second != "None" and share > 0:
            other, others_steps = await self._enlarged(image, size, target, self._second)
            if others_steps:
                other = await self._processed(other, others_steps)
            steps += (WatermarkStep(image=other, position="center", opacity=share),)
        steps += crop_steps(target, self._body.cropped(target))
        return await self._processed(enlarged, steps) if steps else enlarged

    async def _enlarged(
        self, image: Blob, size: Size, target: Size, way: Way
    ) -> tuple[Blob, tuple[ImageStep, ...]]:
        """An image, and the steps that are left from there to the target."""
        if not isinstance(way, CatalogEntry):
            return image, (scale_to(target, "nearest" if way == "Nearest" else "smooth"),)
        factor = max(target.width / size.width, target.height / size.height)
        if factor <= 1:
            return image, (scale_to(target, "smooth"),)
        scale = next((scale for scale in SCALES if scale >= factor), SCALES[-1])
        upscaled = await self._run(
            UpscaleImage(model=way.id, image=image, scale=scale, max_pixels=self._max_pixels)
        )
        is_there = upscaled.size == target
        return upscaled.image, () if is_there else (scale_to(target, "smooth"),)

    async def _processed(self, image: Blob, steps: tuple[ImageStep, ...]) -> Blob:
        operation = ProcessImage(image=image, steps=steps, max_pixels=self._max_pixels)
        processed = await self._run(operation)
        return processed.image

    @property
    def _max_pixels(self) -> int:
        return self._call.context.config.limits.image_pixels

    async def _run(self, operation: Operation[R]) -> R:
        job, result = await run_to_result(self._call, operation)
        self.job_id = job.id
        return result


@router.post("/sdapi/v1/extra-single-image")
async def extra_single_image(body: ExtraSingleBody, call: CallDep) -> Response:
    """Enlarge an image by a factor or to a size."""
    context = call.context
    extras = Extras(call, body)
    image = await context.intake.take(body.image, param="image", kind="image")
    made = StoredBase64(context.blobs, await extras.made(image, param="image"))
    return json_response({"html_info": "", "image": made}, {"X-Job-ID": extras.job_id})


@router.post("/sdapi/v1/extra-batch-images")
async def extra_batch_images(body: ExtraBatchBody, call: CallDep) -> Response:
    """Enlarge several images alike."""
    context = call.context
    extras = Extras(call, body)
    params = [f"imageList[{number}].data" for number in range(len(body.files))]
    images = [
        await context.intake.take(file.data, param=param, kind="image")
        for file, param in zip(body.files, params, strict=True)
    ]
    made = [
        StoredBase64(context.blobs, await extras.made(image, param=param))
        for image, param in zip(images, params, strict=True)
    ]
    return json_response({"html_info": "", "images": made}, {"X-Job-ID": extras.job_id})


async def size_of(context: Context, blob: Blob, *, param: str) -> Size:
    """Of an image as it is shown."""
    async with context.blobs.local_file(blob) as path:
        return await asyncio.to_thread(image_size, path, param=param)


def scale_to(size: Size, resampling: Any) -> ScaleStep:
    """To exactly this size."""
    return ScaleStep(width=size.width, height=size.height, resampling=resampling)


def crop_steps(size: Size, wanted: Size | None) -> tuple[CropStep, ...]:
    """The middle of an image, as far as it has as many pixels."""
    if wanted is None:
        return ()
    width, height = min(wanted.width, size.width), min(wanted.height, size.height)
    x, y = (size.width - width) // 2, (size.height - height) // 2
    return (CropStep(x=x, y=y, width=width, height=height),)
