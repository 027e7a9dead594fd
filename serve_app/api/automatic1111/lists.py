"""The lists that front ends fill their menus from, and what they ask for when they start."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.automatic1111.attachments import listed_embedding, listed_loras, listed_vaes
from serve_app.api.automatic1111.checkpoints import checkpoints
from serve_app.api.automatic1111.sampler_names import SCHEDULES, listed_samplers
from serve_app.api.automatic1111.saved_options import current_checkpoint, saved_options
from serve_app.api.automatic1111.txt2img_body import LATENT
from serve_app.api.automatic1111.upscaler_names import listed_upscalers
from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.json_answer import json_response
from serve_app.catalog.image_facts import image_facts
from serve_app.catalog.learned_words import learned_words

router = APIRouter(tags=["models"])
ALWAYS: dict[str, Any] = {
    "scripts": {"txt2img": [], "img2img": []},
    "script-info": [],
    "cmd-flags": {"api": True},
    "extensions": [],
    "hypernetworks": [],
    "face-restorers": [],
    "realesrgan-models": [],
    "artist-categories": [],
    "artists": [],
}
"""What is the same on every server, because it is done without or not at all."""
REFRESHES = ("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings")


def _add(name: str, answer: Any, method: str, description: str) -> None:
    async def always() -> Response:
        return json_response(answer)

    always.__name__ = name.replace("-", "_")
    always.__doc__ = description
    router.add_api_route(f"/sdapi/v1/{name}", always, methods=[method])


for _name, _answer in ALWAYS.items():
    _add(_name, _answer, "GET", "Read what front ends ask for when they start.")
for _name in REFRESHES:
    _add(_name, None, "POST", "Accepted; lists are always those of the configuration.")


@router.get("/sdapi/v1/sd-models")
async def sd_models(context: ContextDep) -> Response:
    """List the image models."""
    return json_response([each.listed() for each in checkpoints(context.catalog)])


@router.get("/sdapi/v1/samplers")
async def samplers(context: ContextDep, principal: PrincipalDep) -> Response:
    """List the samplers that the current model can run."""
    found = current_checkpoint(context, await saved_options(context, principal))
    facts = await image_facts(context.catalog, found.found)
    return json_response(list(listed_samplers(facts)))


@router.get("/sdapi/v1/schedulers")
async def schedulers() -> Response:
    """List the schedulers; one that a model cannot run is the automatic one."""
    return json_response([each.listed() for each in SCHEDULES])


@router.get("/sdapi/v1/sd-vae")
@router.get("/sdapi/v1/sd-modules")
async def sd_vae(context: ContextDep, principal: PrincipalDep) -> Response:
    """List the autoencoders of the current model."""
    found = current_checkpoint(context, await saved_options(context, principal))
    return json_response(listed_vaes(found))


@router.get("/sdapi/v1/loras")
async def loras(context: ContextDep, principal: PrincipalDep) -> Response:
    """List the LoRAs of the current model."""
    found = current_checkpoint(context, await saved_options(context, principal))
    return json_response(listed_loras(found))


@router.get("/sdapi/v1/embeddings")
async def embeddings(context: ContextDep, principal: PrincipalDep) -> Response:
    """List the learned words of the current model; those made for another kind are skipped."""
    found = current_checkpoint(context, await saved_options(context, principal))
    words = await learned_words(context.catalog, found.found)
    return json_response(
        {
            "loaded": {word.name: listed_embedding(word) for word in words if word.fits},
            "skipped": {word.name: listed_embedding(word) for word in words if not word.fits},
        }
    )


@router.get("/sdapi/v1/upscalers")
async def upscalers(context: ContextDep) -> Response:
    """List the ways to enlarge an image."""
    return json_response(listed_upscalers(context.catalog))


@router.get("/sdapi/v1/latent-upscale-modes")
async def latent_upscale_modes() -> Response:
    """List the ways to enlarge what is not decoded yet."""
    return json_response([{"name": name} for name in LATENT])


@router.get("/sdapi/v1/prompt-styles")
async def prompt_styles(context: ContextDep) -> Response:
    """List the saved styles."""
    return json_response([style.model_dump() for style in context.config.sdapi.styles])
