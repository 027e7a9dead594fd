"""Every route of the native dialect, in one list."""

from starlette.routing import BaseRoute

from serve_app.api.v1 import (
    archive,
    chat,
    completions,
    embeddings,
    files,
    images,
    jobs,
    models,
    pipelines,
    profiles,
    rerank,
    speech,
    stems,
    transcriptions,
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
    stems,
    images,
    pipelines,
    files,
    archive,
    profiles,
    voices,
)
routes: list[BaseRoute] = [route for part in PARTS for route in part.router.routes]
