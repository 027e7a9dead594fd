"""The second pass of txt2img: its model, prompts and sampling, which are those of the first one
where the request names no others.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from serve_app.api.automatic1111.attachments import loras_of
from serve_app.api.automatic1111.checkpoints import Checkpoint, checkpoint
from serve_app.api.automatic1111.image_plan import (
    ImagePlan,
    networks_comments,
    sampling_of,
    styled_prompts,
)
from serve_app.api.automatic1111.prompts import read_prompt
from serve_app.api.automatic1111.sampler_names import ChosenSampling, chosen
from serve_app.api.automatic1111.txt2img_body import LATENT, Txt2ImgBody
from serve_app.api.automatic1111.upscaler_names import upscaler_named
from serve_app.api.call import Call
from serve_app.api.context import Context
from serve_app.catalog.catalog import CatalogEntry
from serve_app.catalog.image_facts import image_facts
from serve_app.core.image.images import HiresPass
from serve_app.core.image.sampling_names import SECOND_SAMPLER_SLOT, SECOND_SCHEDULE_SLOT

SAME = ("", "use same checkpoint", "use same sampler", "use same scheduler")
"""What front ends say where the second pass has no choice of its own."""
UPSCALERS = {"None": "lanczos", "Lanczos": "lanczos", "Nearest": "nearest"}


async def with_second_pass(
    call: Call, body: Txt2ImgBody, plan: ImagePlan
) -> tuple[ImagePlan, HiresPass]:
    """The plan of both passes, and the second one. NotFound for its names."""
    name = body.hr_checkpoint_name
    found = plan.found if is_same(name) else checkpoint(call.context.catalog, name)
    sampling = await _sampling(call.context, body, plan, found)
    prompt, negative_prompt = styled_prompts(
        call.context,
        body.styles,
        body.hr_prompt or body.prompt,
        body.hr_negative_prompt or body.negative_prompt,
        prefix="hr_",
    )
    # The networks of a prompt are those of its own pass.
    read = read_prompt(prompt, loras_of(found))
    hires = HiresPass(
        size=body.final_size,
        scale=body.hr_scale,
        **_upscaling(call.context, body.hr_upscaler),
        strength=body.strength,
        steps=body.hr_second_pass_steps or None,
        prompt=read.text,
        negative_prompt=negative_prompt or None,
        sampling=None if sampling is None else sampling_of(sampling, body),
        model=found.name,
        loras=read.loras,
    )
    said = (*(sampling.comments if sampling else ()), *networks_comments(read))
    comments = tuple(dict.fromkeys((*plan.comments, *said)))
    return replace(plan, comments=comments, extra=pairs(body, plan, found)), hires


def pairs(body: Txt2ImgBody, plan: ImagePlan, found: Checkpoint) -> Mapping[str, object]:
    """What infotexts say of the second pass."""
    size = body.final_size
    return {
        "Denoising strength": body.strength,
        "Hires upscale": body.hr_scale if size is None else None,
        "Hires resize": f"{size.width}x{size.height}" if size else None,
        "Hires steps": body.hr_second_pass_steps or None,
        "Hires upscaler": body.hr_upscaler,
        "Hires sampler": None if is_same(body.hr_sampler_name) else SECOND_SAMPLER_SLOT,
        "Hires schedule type": None if is_same(body.hr_scheduler) else SECOND_SCHEDULE_SLOT,
        "Hires checkpoint": None if found.name == plan.found.name else found.title,
        "Hires prompt": body.hr_prompt or None,
        "Hires negative prompt": body.hr_negative_prompt or None,
    }


def is_same(name: str | None) -> bool:
    """Whether nothing is named."""
    return (name or "").strip().lower() in SAME


async def _sampling(
    context: Context, body: Txt2ImgBody, plan: ImagePlan, found: Checkpoint
) -> ChosenSampling | None:
    """None where it is that of the first pass."""
    sampler, scheduler = body.hr_sampler_name, body.hr_scheduler
    is_other = found.name != plan.found.name
    if is_same(sampler) and is_same(scheduler) and not is_other:
        return None
    facts = await image_facts(context.catalog, found.found) if is_other else plan.facts
    return chosen(
        plan.sampling.sampler_name if is_same(sampler) else sampler or "",
        plan.sampling.schedule_label if is_same(scheduler) else scheduler,
        facts,
        prefix="hr_",
    )


def _upscaling(context: Context, text: str) -> dict[str, Any]:
    resampling = {name.lower(): how for name, how in LATENT.items()}.get(text.strip().lower())
    if resampling is not None:
        return {"upscaler": "latent", "latent_resampling": resampling}
    found = upscaler_named(context.catalog, text, param="hr_upscaler")
    return {"upscaler": found.id if isinstance(found, CatalogEntry) else UPSCALERS[found]}
