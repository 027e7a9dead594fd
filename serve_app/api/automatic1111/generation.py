"""POST /sdapi/v1/txt2img and /sdapi/v1/img2img."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.automatic1111.diffusion_body import DiffusionBody
from serve_app.api.automatic1111.image_answer import GeneratedImages, answer_body
from serve_app.api.automatic1111.image_plan import (
    operation_fields,
    plan_of,
)
from serve_app.api.automatic1111.img2img_body import FILLS, Img2ImgBody
from serve_app.api.automatic1111.second_pass import with_second_pass
from serve_app.api.automatic1111.txt2img_body import Txt2ImgBody
from serve_app.api.call import Call, CallDep
from serve_app.api.context import Context
from serve_app.api.json_answer import StoredBase64, json_response
from serve_app.api.runs import JobOptions, run_to_result
from serve_app.core.image.images import ImageToImage, Inpaint, TextToImage
from serve_app.core.jobs import Job
from serve_app.core.media import Blob

router = APIRouter(tags=["images"], strict_content_type=False)


@router.post("/sdapi/v1/txt2img")
async def txt2img(body: Txt2ImgBody, call: CallDep) -> Response:
    """Generate images from a prompt, in one pass or, with `enable_hr`, in two."""
    plan, hires = await plan_of(call, body, {}), None
    if body.enable_hr:
        plan, hires = await with_second_pass(call, body, plan)
    fields = operation_fields(plan, body, call.context) | {"size": body.first_size}
    jobs = await _ended(call, body, [TextToImage(hires=hires, **fields)])
    return _answer(GeneratedImages(call.dialect, plan, body, jobs), call.context, {})


@router.post("/sdapi/v1/img2img")
async def img2img(body: Img2ImgBody, call: CallDep) -> Response:
    """Edit images, or the part of them that a mask selects."""
    context = call.context
    images = [
        await context.intake.take(image, param=f"init_images[{number}]", kind="image")
        for number, image in enumerate(body.sources)
    ]
    mask = None
    if (body.mask or "").strip():
        mask = await context.intake.take(body.mask or "", param="mask", kind="image")
    plan = await plan_of(call, body, source_pairs(body, mask))
    fields = operation_fields(plan, body, context) | body.source_fields()
    operations = [edit_of(image, mask, body, fields) for image in images]
    jobs = await _ended(call, body, operations)
    sources = _repeated(context, images, mask) if body.include_init_images else NOT_REPEATED
    return _answer(GeneratedImages(call.dialect, plan, body, jobs), context, sources)


NOT_REPEATED: dict[str, Any] = {"init_images": None, "mask": None}


def edit_of(
    image: Blob, mask: Blob | None, body: Img2ImgBody, fields: dict[str, Any]
) -> ImageToImage:
    """The operation on one image."""
    if mask is None:
        return ImageToImage(image=image, **fields)
    return Inpaint(image=image, mask=mask, **fields, **body.mask_fields())


def source_pairs(body: Img2ImgBody, mask: Blob | None) -> dict[str, object]:
    """What infotexts say of an edited image."""
    noise = body.initial_noise_multiplier
    pairs: dict[str, object] = {
        "Denoising strength": body.strength,
        "Noise multiplier": noise if noise != 1 else None,
    }
    if mask is not None:
        pairs |= {"Mask blur": max(body.blur), "Masked content": FILLS[body.inpainting_fill]}
    return pairs


async def _ended(
    call: Call, body: DiffusionBody, operations: Sequence[TextToImage | ImageToImage]
) -> list[Job]:
    """The jobs of a request, one after the other. Who interrupts one wants none of the others."""
    jobs: list[Job] = []
    for operation in operations:
        options = JobOptions(ref_id=None if jobs else body.force_task_id)
        job, made = await run_to_result(call, operation, options)
        jobs.append(job)
        if len(made.images) + len(made.skipped) < body.count:
            break
    return jobs


def _repeated(context: Context, images: Sequence[Blob], mask: Blob | None) -> dict[str, Any]:
    return {
        "init_images": [StoredBase64(context.blobs, image) for image in images],
        "mask": None if mask is None else StoredBase64(context.blobs, mask),
    }


def _answer(generated: GeneratedImages, context: Context, sources: dict[str, Any]) -> Response:
    content = answer_body(generated, context.blobs, sources)
    return json_response(content, {"X-Job-ID": generated.jobs[0].id})
