"""Options of the caller, loading and unloading of its model, and the server's memory."""

import os
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from serve_app.api.automatic1111.saved_options import (
    SettingsBody,
    current_checkpoint,
    save_options,
    saved_options,
)
from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.errors import from_validation_errors
from serve_app.api.json_answer import json_response
from serve_app.api.json_body import read_json_object
from serve_app.core.loading import Loadable
from serve_app.family.gpus import nvidia_gpus

router = APIRouter(tags=["models"])
MIB = 1024**2
FIXED: dict[str, Any] = {
    "samples_save": True,
    "samples_format": "png",
    "save_images_add_number": True,
    "grid_save": False,
    "return_grid": False,
    "enable_pnginfo": True,
    "jpeg_quality": 80,
    "face_restoration": False,
    "face_restoration_model": None,
    "show_progressbar": True,
    "live_previews_enable": True,
    "live_previews_image_format": "jpeg",
    "show_progress_every_n_steps": 1,
    "sd_lora": "None",
    "sd_hypernetwork": "None",
    "upscaler_for_img2img": None,
    "img2img_color_correction": False,
    "eta_noise_seed_delta": 0,
}
"""Options that clients read and that nothing here changes."""


@router.get("/sdapi/v1/options")
async def read_options(context: ContextDep, principal: PrincipalDep) -> Response:
    """Read the options of this credential."""
    saved = await saved_options(context, principal)
    found = current_checkpoint(context, saved)
    own = {
        "sd_model_checkpoint": found.title,
        "sd_checkpoint_hash": found.hash,
        "sd_vae": saved.vae or "Automatic",
        "CLIP_stop_at_last_layers": saved.clip_layers,
    }
    return json_response(own | FIXED)


@router.post("/sdapi/v1/options")
async def write_options(request: Request, context: ContextDep, principal: PrincipalDep) -> Response:
    """Set the model, its autoencoder and its layers for the later calls of this credential."""
    if (await request.body()).strip():
        values = await read_json_object(request)
        try:
            body = SettingsBody.model_validate(values)
        except ValidationError as error:
            raise from_validation_errors(error.errors(), values) from None
        await save_options(context, principal, body)
    return json_response(None)


@router.post("/sdapi/v1/unload-checkpoint")
async def unload_checkpoint(context: ContextDep, principal: PrincipalDep) -> Response:
    """Unload the current model as soon as nobody uses it."""
    found = current_checkpoint(context, await saved_options(context, principal)).found
    if isinstance(found.runner, Loadable):
        await found.runner.unload_model(found.id)
    return json_response({})


@router.post("/sdapi/v1/reload-checkpoint")
async def reload_checkpoint(context: ContextDep, principal: PrincipalDep) -> Response:
    """Load the current model, which is else done with its next request."""
    found = current_checkpoint(context, await saved_options(context, principal)).found
    if isinstance(found.runner, Loadable):
        await found.runner.load_model(found.id)
    return json_response({})


@router.get("/sdapi/v1/memory")
async def memory(context: ContextDep) -> Response:
    """Read the memory of the machine and of its GPUs, in bytes."""
    gpus = await anyio.to_thread.run_sync(nvidia_gpus)
    statuses = (await context.catalog.statuses()).values()
    loaded = sum(status.memory_mb or 0 for status in statuses if status.state == "ready")
    return json_response({"ram": ram(), "cuda": cuda(gpus, round(loaded * MIB))})


def ram() -> dict[str, int]:
    """Of the machine."""
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = (os.sysconf(name) * page for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    return {"free": free, "used": total - free, "total": total}


def cuda(gpus: list[dict[str, Any]], loaded: int) -> dict[str, Any]:
    """Of all GPUs together; `loaded` are the bytes of the models that are in memory."""
    if not gpus:
        return {"error": "no GPU was found"}
    total = sum(gpu["total_vram_mb"] for gpu in gpus) * MIB
    free = sum(gpu["free_vram_mb"] for gpu in gpus) * MIB
    models = {"current": loaded, "peak": loaded}
    return {
        "system": {"free": free, "used": total - free, "total": total},
        "active": models,
        "allocated": models,
        "reserved": models,
        "inactive": {"current": 0, "peak": 0},
        "events": {"retries": 0, "oom": 0},
    }
