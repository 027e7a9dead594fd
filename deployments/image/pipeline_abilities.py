"""What a diffusers pipeline can do besides taking arguments: where its parts are reached into."""

import inspect
from dataclasses import dataclass
from typing import Any

from deployments.media.weighted_prompts import plain_text
from serve_app.core.image.images import ImageGeneration, ImageToImage, Size
from serve_app.core.notices import Notice

CLIP = (["CLIPTextModel"], ["CLIPTextModel", "CLIPTextModelWithProjection"])
OTHERWISE = {False: ("Kontext", "Flux2"), True: ("Kontext", "Flux2", "Inpaint")}
"""Parts of the names of pipelines that handle noise in ways of their own, by whether they pack it.
"""
NO_EFFECT = "has no effect with this model"
ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")


@dataclass(frozen=True)
class PipelineAbilities:
    """`read_prompts` is whether prompts can be read in its place: with weights, or without the last
    layers. `vary` is whether noise can be given to it, `keep_latents` whether it tells its last
    ones in the form in which it takes some. `is_large` is a model like SDXL; one that
    `is_packed` has the cells of two rows and columns in one.
    """

    read_prompts: bool
    be_seamless: bool
    vary: bool
    resize_latents: bool
    keep_latents: bool
    is_large: bool
    is_packed: bool
    cell_px: int
    channels: int

    def noise_shape(self, size: Size) -> tuple[int, int, int]:
        """Channels, rows and columns of the latents of an image."""
        if self.is_packed:
            step = 2 * self.cell_px
            return self.channels, 2 * (size.height // step), 2 * (size.width // step)
        return self.channels, size.height // self.cell_px, size.width // self.cell_px

    def warnings(self, request: ImageGeneration) -> list[Notice]:
        """What of a request it cannot do."""
        wanted = {
            "weighs_words": not self.read_prompts and _is_weighted(request),
            "clip_skip": not self.read_prompts and request.clip_skip > 1,
            "is_tileable": not self.be_seamless and request.is_tileable,
            "variation": not self.vary and request.variation is not None,
        }
        if isinstance(request, ImageToImage) and not self.vary:
            wanted["noise_scale"] = request.noise_scale != 1
        warnings = [Notice(field=name, text=NO_EFFECT) for name in wanted if wanted[name]]
        is_latent = isinstance(request, ImageToImage) and request.resize == "latent"
        if is_latent and not self.resize_latents:
            said = "this model resizes pixels, not latents"
            warnings.append(Notice(field="resize", text=said))
        return warnings


def abilities_of(pipeline: Any) -> PipelineAbilities:
    """Known of the families around Stable Diffusion, SDXL, Stable Diffusion 3 and Flux."""
    parameters = inspect.signature(type(pipeline).__call__).parameters
    encoders = [getattr(pipeline, name, None) for name in ENCODERS]
    kinds = [type(encoder).__name__ for encoder in encoders if encoder is not None]
    is_unet = hasattr(pipeline, "unet")
    is_read = is_unet and kinds in CLIP and encoders[0] is not None
    name = type(pipeline).__name__
    is_known = is_unet or name.startswith(("StableDiffusion3", "Flux"))
    is_packed = hasattr(pipeline, "_pack_latents")
    config = getattr(getattr(pipeline, "vae", None), "config", None)
    channels = int(getattr(config, "latent_channels", 4))
    return PipelineAbilities(
        read_prompts=is_read and "prompt_embeds" in parameters,
        be_seamless=is_unet,
        vary=is_known and not any(part in name for part in OTHERWISE[is_packed]),
        resize_latents=is_unet and name.endswith("Img2ImgPipeline"),
        keep_latents=is_unet and "callback_on_step_end" in parameters,
        is_large=is_read and len(kinds) > 1,
        is_packed=is_packed,
        cell_px=int(getattr(pipeline, "vae_scale_factor", 8)),
        channels=channels,
    )


def _is_weighted(request: ImageGeneration) -> bool:
    texts = (request.prompt, request.negative_prompt or "")
    return request.weighs_words and any(plain_text(text) != text for text in texts)
