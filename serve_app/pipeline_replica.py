"""The deployment class of every pipeline: a plain pipeline object behind a Serve handle."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

from serve_app.core.config import AppConfig
from serve_app.core.streams import started
from serve_app.live_models import Handles, live_models
from serve_app.logs import log_to_stderr
from serve_app.models import Models

ComposePipeline = Callable[[AppConfig, Models], object]
"""Builds the pipeline from the catalog; runs in the replica."""


class PipelineReplica:
    """Runs the verbs of one pipeline over the families' handles."""

    def __init__(self, config: AppConfig, compose: ComposePipeline, families: Handles) -> None:
        log_to_stderr()
        self._pipeline = compose(config, live_models(config, families))

    async def stream(
        self,
        verb: str,
        name: str,  # noqa: ARG002 - a family's replica needs it
        *arguments: Any,
    ) -> AsyncGenerator[list[Any]]:
        """Run a verb; its items come one by one, because each tells of a stage."""
        async for item in await started(getattr(self._pipeline, verb)(*arguments)):
            yield [item]
