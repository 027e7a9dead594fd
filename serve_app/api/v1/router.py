"""Every route of the native dialect, in one list."""

from starlette.routing import BaseRoute

from serve_app.api.v1 import (
    archive,
    chat,
    clone,
    completions,
    convert,
    depth,
    embeddings,
    face_swap,
    files,
    images,
    jobs,
    models,
    pipelines,
    profiles,
    rerank,
    segmentation,
    speech,
    stems,
    transcriptions,
    upscaling,
    voices,
)

PARTS = (
    jobs,
    models,
    chat,
    completions,
    embeddings,
    rerank,
    speech,
    transcriptions,
    clone,
    convert,
    stems,
    images,
    upscaling,
    depth,
    segmentation,
    face_swap,
    pipelines,
    files,
    archive,
    profiles,
    voices,
)
routes: list[BaseRoute] = [route for part in PARTS for route in part.router.routes]
