"""GET /models: Velesio's two lists, beside OpenAI's."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.context import ContextDep
from serve_app.api.json_answer import json_response
from serve_app.api.openai.model_object import auto_entry, model_entries
from serve_app.api.velesio.errors import ERRORS
from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.options.attachments import loras_in, vaes_in
from serve_app.core.status import ModelStatus

router = APIRouter(tags=["models"], responses=ERRORS)
SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d{1,4}(?:\.\d{1,3})?)([bBmM])(?![A-Za-z0-9])")
"""As in `Qwen3-0.6B` or `SmolLM2-135M-Instruct`."""


@router.get("/models")
async def velesio_models(context: ContextDep) -> Response:
    """List the models, by kind and as OpenAI does."""
    catalog = context.catalog
    statuses = await catalog.statuses()
    entries = await model_entries(catalog, statuses)
    automatic = auto_entry(entries)
    return json_response(
        {
            "object": "list",
            "data": ([automatic] if automatic else []) + entries,
            "text_models": text_models(catalog, statuses),
            "image_models": image_models(catalog, statuses),
        }
    )


def text_models(catalog: Catalog, statuses: Mapping[str, ModelStatus]) -> list[dict[str, Any]]:
    """Those that write, then those that embed."""
    return [
        {"name": found.id, "size": size_of(found), "type": kind} | _loaded(found, statuses)
        for found, kind in (
            *((found, "chat") for found in catalog.every("chat")),
            *((found, "embedding") for found in catalog.every("embeddings")),
        )
    ]


def image_models(catalog: Catalog, statuses: Mapping[str, ModelStatus]) -> list[dict[str, Any]]:
    """Those that generate, those that upscale, and what may be laid beside the first: that is
    attached to a model while it generates, and in memory no longer.
    """
    families = {found.family.name: found.family.options for found in catalog.every("images")}
    beside = [
        *(("lora", name) for options in families.values() for name in loras_in(options)),
        *(("vae", name) for options in families.values() for name in vaes_in(options)),
    ]
    models = [
        {"name": found.id, "type": kind} | _loaded(found, statuses)
        for found, kind in (
            *((found, "checkpoint") for found in catalog.every("images")),
            *((found, "upscaler") for found in catalog.every("upscaling")),
        )
    ]
    attached = [
        {"name": name, "type": kind, "loaded": False} for kind, name in dict.fromkeys(beside)
    ]
    return [*models, *attached]


def size_of(found: CatalogEntry) -> str:
    """Like `7B`, from the model's names; nothing where they do not say it."""
    sources = (each for each in found.model.sources if isinstance(each, str))
    for name in (found.id, *found.model.aliases, *sources):
        if match := SIZE.search(name):
            return f"{match[1]}{match[2].upper()}"
    return ""


def _loaded(found: CatalogEntry, statuses: Mapping[str, ModelStatus]) -> dict[str, bool]:
    status = statuses.get(found.id)
    return {"loaded": status is not None and status.state == "ready"}
