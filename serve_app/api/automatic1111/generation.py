"""POST /sdapi/v1/txt2img and /sdapi/v1/img2img."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.api.automatic1111.checkpoints import checkpoint
from serve_app.api.automatic1111.diffusion_body import DiffusionBody
from serve_app.api.automatic1111.image_answer import GeneratedImages, answer_body
from serve_app.api.automatic1111.image_plan import (
    ImagePlan,
    operation_fields,
    plan_of,
    sampling_of,
)
from serve_app.api.automatic1111.img2img_body import FILLS, Img2ImgBody
from serve_app.api.automatic1111.prompts import read_prompt
from serve_app.api.automatic1111.sampler_names import chosen
from serve_app.api.automatic1111.txt2img_body import LATENT, Txt2ImgBody
from serve_app.api.automatic1111.upscaler_names import upscaler_named
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.json_answer import StoredBase64, json_response
from serve_app.api.runs import Call, JobOptions, call_in, finished_result, run, submission_of
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.image.images import HiresPass, ImageToImage, Inpaint, TextToImage
from serve_app.core.jobs import Job
from serve_app.core.media import Blob

router = APIRouter(tags=["images"], strict_content_type=False)
SAME = ("", "use same checkpoint", "use same sampler", "use same scheduler")
"""What front ends say where the second pass has no choice of its own."""
HIRES_UPSCALERS = {"None": "lanczos", "Lanczos": "lanczos", "Nearest": "nearest"}


@router.post("/sdapi/v1/txt2img")
async def txt2img(
    body: Txt2ImgBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Generate images from a prompt, in one pass or, with `enable_hr`, in two."""
    call = call_in(request, context, principal)
    extra = hires_pairs(body) if body.enable_hr else {}
    plan = await plan_of(call, body, extra)
    fields = operation_fields(plan, body, context) | {"size": body.first_size}
    hires = await hires_pass(call, body, plan) if body.enable_hr else None
    jobs = await _ended(call, body, [TextToImage(hires=hires, **fields)])
    return _answer(GeneratedImages(plan, body, jobs), context, {})


@router.post("/sdapi/v1/img2img")
async def img2img(
    body: Img2ImgBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Edit images, or the part of them that a mask selects."""
    call = call_in(request, context, principal)
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
    return _answer(GeneratedImages(plan, body, jobs), context, sources)


NOT_REPEATED: dict[str, Any] = {"init_images": None, "mask": None}


def edit_of(
    image: Blob, mask: Blob | None, body: Img2ImgBody, fields: dict[str, Any]
) -> ImageToImage:
    """The operation on one image."""
    if mask is None:
        return ImageToImage(image=image, **fields)
    return Inpaint(image=image, mask=mask, **fields, **body.mask_fields())


async def hires_pass(call: Call, body: Txt2ImgBody, plan: ImagePlan) -> HiresPass:
    """The second pass. NotFound for its names; what it does not name is as in the first."""
    catalog = call.context.catalog
    name = body.hr_checkpoint_name
    model = None if _is_same(name) else checkpoint(catalog, name).name
    sampler, scheduler = body.hr_sampler_name, body.hr_scheduler
    sampling = None
    if not (_is_same(sampler) and _is_same(scheduler)):
        found = chosen(
            plan.sampling.sampler_name if _is_same(sampler) else sampler or "",
            plan.sampling.schedule_label if _is_same(scheduler) else scheduler,
            plan.facts,
            prefix="hr_",
        )
        sampling = sampling_of(found, body)
    return HiresPass(
        size=body.final_size,
        scale=body.hr_scale,
        upscaler=_hires_upscaler(call.context, body.hr_upscaler),
        strength=body.strength,
        steps=body.hr_second_pass_steps or None,
        # Its LoRAs are those of the first pass.
        prompt=read_prompt(body.hr_prompt, {}).text or None,
        negative_prompt=body.hr_negative_prompt or None,
        sampling=sampling,
        model=model,
    )


def hires_pairs(body: Txt2ImgBody) -> dict[str, object]:
    """What infotexts say of the second pass."""
    size = body.final_size
    return {
        "Denoising strength": body.strength,
        "Hires upscale": body.hr_scale if size is None else None,
        "Hires resize": f"{size.width}x{size.height}" if size else None,
        "Hires steps": body.hr_second_pass_steps or None,
        "Hires upscaler": body.hr_upscaler,
    }


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


def _is_same(name: str | None) -> bool:
    return (name or "").strip().lower() in SAME


def _hires_upscaler(context: Context, text: str) -> str:
    if text.strip().lower() in (name.lower() for name in LATENT):
        return "latent"
    found = upscaler_named(context.catalog, text, param="hr_upscaler")
    return found.id if isinstance(found, CatalogEntry) else HIRES_UPSCALERS[found]


async def _ended(
    call: Call, body: DiffusionBody, operations: Sequence[TextToImage | ImageToImage]
) -> list[Job]:
    """The jobs of a request, one after the other. Who interrupts one wants none of the others."""
    jobs: list[Job] = []
    for operation in operations:
        options = JobOptions(ref_id=None if jobs else body.force_task_id)
        job = await run(call, await submission_of(call, operation, options))
        result = finished_result(job, call.dialect)
        jobs.append(job)
        if len(getattr(result, "images", ())) + len(getattr(result, "skipped", ())) < body.count:
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
