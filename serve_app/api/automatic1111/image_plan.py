"""What a request for images comes down to before it is submitted: the model, the sampling, the
prompts, the seeds and the infotexts.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serve_app import __version__
from serve_app.api.automatic1111.attachments import loras_of, vaes_of
from serve_app.api.automatic1111.checkpoints import Checkpoint
from serve_app.api.automatic1111.diffusion_body import DiffusionBody
from serve_app.api.automatic1111.infotext import infotext
from serve_app.api.automatic1111.prompts import ReadPrompt, read_prompt, styled
from serve_app.api.automatic1111.sampler_names import NAMES, ChosenSampling, chosen
from serve_app.api.automatic1111.saved_options import (
    SavedOptions,
    changed_options,
    current_checkpoint,
    save_options,
    saved_options,
)
from serve_app.api.call import Call
from serve_app.api.context import Context
from serve_app.catalog.image_facts import image_facts
from serve_app.core.bounds import PROMPT_CHARACTERS
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.samplers import ImageFacts, ImageSampling
from serve_app.core.image.sampling_names import SAMPLER_SLOT, SCHEDULE_SLOT

SEEDS = 2**32
PREVIEW_S = 0.5
EMBEDDED_CHARACTERS = 1_000_000
"""Of all infotexts together: they travel with the operation, whose messages are limited."""
VERSION = f"polyphony {__version__}"
WEIGHTS = frozenset("()[]")


@dataclass(frozen=True)
class ImagePlan:
    """Settled before anything runs. `prompt` and `negative_prompt` are those of the caller with the
    styles; `read` is the prompt that the model is given. `extra` are further pairs of infotexts.
    """

    found: Checkpoint
    options: SavedOptions
    facts: ImageFacts
    sampling: ChosenSampling
    prompt: str
    negative_prompt: str
    read: ReadPrompt
    seed: int
    subseed: int
    comments: tuple[str, ...]
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def vae(self) -> str | None:
        """The autoencoder besides the checkpoint's own, which this checkpoint must have, too."""
        return self.options.vae if self.options.vae in vaes_of(self.found) else None


async def plan_of(call: Call, body: DiffusionBody, extra: Mapping[str, object]) -> ImagePlan:
    """The plan of a request. NotFound for names that there are not, InvalidRequest for scripts."""
    body.check_scripts()
    context, override = call.context, body.override_settings
    saved = await saved_options(context, call.principal)
    options = changed_options(context, saved, override)
    found = current_checkpoint(context, options)
    facts = await image_facts(context.catalog, found.found)
    sampling = chosen(body.sampler, body.scheduler, facts)
    prompt, negative_prompt = styled_prompts(
        context, body.styles, body.prompt, body.negative_prompt
    )
    read = read_prompt(prompt, loras_of(found))
    if override.model_fields_set and not body.override_settings_restore_afterwards:
        await save_options(context, call.principal, override)
    return ImagePlan(
        found=found,
        options=options,
        facts=facts,
        sampling=sampling,
        prompt=prompt,
        negative_prompt=negative_prompt,
        read=read,
        seed=resolved(body.seed),
        subseed=resolved(body.subseed),
        comments=(*sampling.comments, *networks_comments(read), *body.without_effect()),
        extra=extra,
    )


def networks_comments(read: ReadPrompt) -> tuple[str, ...]:
    """What has to be said of the networks that a prompt names."""
    return (f"Networks not found: {', '.join(read.missing)}",) if read.missing else ()


def resolved(seed: int) -> int:
    """The seed, chosen here where the caller leaves it to the server, so that a job that is resumed
    generates the same images.
    """
    return secrets.randbelow(SEEDS) if seed == -1 else seed


def operation_fields(plan: ImagePlan, body: DiffusionBody, context: Context) -> dict[str, Any]:
    """The fields of an ImageGeneration."""
    weights = WEIGHTS & {*plan.read.text, *plan.negative_prompt}
    return {
        "model": plan.found.name,
        "prompt": plan.read.text,
        "negative_prompt": plan.negative_prompt or None,
        "count": body.count,
        "batch_size": body.batch_size,
        "can_end_early": True,
        "size": body.size,
        "seed": plan.seed,
        "steps": body.steps,
        "guidance_scale": body.cfg_scale,
        "sampling": sampling_of(plan.sampling, body),
        "variation": body.variation(plan.subseed),
        "weighs_words": plan.facts.weighs_words or bool(weights),
        "clip_skip": plan.options.clip_layers,
        "is_tileable": body.tiling,
        "loras": plan.read.loras,
        "vae_model": plan.vae,
        "preview_every_s": PREVIEW_S,
        "embedded_texts": embedded_texts(plan, body),
        "sampling_names": NAMES,
        "max_pixels": context.config.limits.image_pixels,
    }


def sampling_of(chosen_names: ChosenSampling, body: DiffusionBody) -> ImageSampling:
    """The sampler with the details of the request, as far as it has any."""
    return chosen_names.sampling(
        eta=body.eta,
        churn=body.s_churn,
        churn_from=body.s_tmin,
        churn_to=body.s_tmax or None,
        noise=body.s_noise,
    )


def embedded_texts(plan: ImagePlan, body: DiffusionBody) -> tuple[str, ...]:
    """An infotext for every image's file; none where they would be too long together."""
    first = infotext_of(plan, body, 0)
    if len(first) * body.count > EMBEDDED_CHARACTERS:
        return ()
    return (first, *(infotext_of(plan, body, number) for number in range(1, body.count)))


def infotext_of(plan: ImagePlan, body: DiffusionBody, number: int) -> str:
    """That of an image, by its number from 0. What is sampled with is left open in it."""
    varied = body.subseed_strength > 0
    resize = (body.seed_resize_from_w, body.seed_resize_from_h)
    pairs: dict[str, object] = {
        "Steps": body.steps,
        "Sampler": SAMPLER_SLOT,
        "Schedule type": SCHEDULE_SLOT,
        "CFG scale": body.cfg_scale,
        "Seed": plan.seed + number,
        "Size": f"{body.width}x{body.height}",
        "Model hash": plan.found.hash,
        "Model": plan.found.name,
        "VAE": plan.vae,
        "Variation seed": plan.subseed + number if varied else None,
        "Variation seed strength": body.subseed_strength if varied else None,
        "Seed resize from": f"{resize[0]}x{resize[1]}" if min(resize) > 0 else None,
        "Clip skip": plan.options.clip_layers if plan.options.clip_layers > 1 else None,
        "Tiling": True if body.tiling else None,
        **plan.extra,
        "Version": VERSION,
    }
    return infotext(plan.prompt, plan.negative_prompt, pairs)


def styled_prompts(
    context: Context, styles: Sequence[str], prompt: str, negative_prompt: str, *, prefix: str = ""
) -> tuple[str, str]:
    """Both with the named styles. InvalidRequest, with `prefix` before the field, where that is too
    much.
    """
    prompts = styled(prompt, negative_prompt, styles, context.config.sdapi.styles)
    for text, field_name in zip(prompts, ("prompt", "negative_prompt"), strict=True):
        if len(text) > PROMPT_CHARACTERS:
            raise InvalidRequest(
                f"with its styles it has more than {PROMPT_CHARACTERS} characters",
                param=prefix + field_name,
            )
    return prompts
