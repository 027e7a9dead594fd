"""Whether a route's pipeline runs on this server."""

from serve_app.api.context import Context
from serve_app.core.errors import BackendUnavailable


def check_configured(context: Context, pipeline: str) -> None:
    """BackendUnavailable for a pipeline that the configuration does not list."""
    if all(listed.name != pipeline for listed in context.config.pipelines):
        raise BackendUnavailable(
            f"the pipeline {pipeline!r} is not configured; add it to 'pipelines'", provider=pipeline
        )
