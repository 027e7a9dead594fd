"""The catalog over live Serve handles, and which of its models are in memory now."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app.catalog.catalog import Models
from serve_app.core.config import AppConfig
from serve_app.core.errors import AppError
from serve_app.core.status import ModelStatus
from serve_app.remote.family import Remote
from serve_app.runtime.limits import LimitPassed, within

logger = logging.getLogger(__name__)

Handles = Mapping[str, DeploymentHandle[Any]]
STATUS_AGE_S = 1.0
STATUS_TIMEOUT_S = 3.0


def live_models(config: AppConfig, families: Handles) -> Models:
    """Models that run their operations over the handles of their families."""
    runs = {
        family.name: Remote(
            family.name, families[family.name], has_several_models=len(family.models) > 1
        )
        for family in config.families
    }
    return Models(config, runs, statuses=LiveStatuses(config, runs))


class LiveStatuses:
    """The states of all models that a running replica holds, at most `STATUS_AGE_S` old.

    Families without a running replica are not asked, because asking would start one.
    """

    def __init__(self, config: AppConfig, remotes: Mapping[str, Remote]) -> None:
        self._remotes = remotes
        self._models = {f.name: {model.id for model in f.models} for f in config.families}
        self._known: dict[str, ModelStatus] = {}
        self._known_at = 0.0
        self._asking = asyncio.Lock()

    async def __call__(self) -> Mapping[str, ModelStatus]:
        """By canonical model id."""
        async with self._asking:
            if time.monotonic() - self._known_at > STATUS_AGE_S:
                self._known = await self._ask()
                self._known_at = time.monotonic()
        return self._known

    async def _ask(self) -> dict[str, ModelStatus]:
        running = await asyncio.to_thread(running_deployments)
        asked = [remote for name, remote in self._remotes.items() if name in running]
        answers = await asyncio.gather(*(self._status(remote) for remote in asked))
        told = {status.id: status for answer in answers for status in answer}
        return {id: _gone(status) for id, status in self._known.items()} | told

    async def _status(self, remote: Remote) -> tuple[ModelStatus, ...]:
        """A replica too busy to answer keeps what was known of its models."""
        try:
            async with within(STATUS_TIMEOUT_S):
                return await remote.status()
        except (LimitPassed, AppError) as error:
            logger.info("no status from %r: %s", remote.name, error)
            own = self._models[remote.name]
            return tuple(status for status in self._known.values() if status.id in own)


def _gone(status: ModelStatus) -> ModelStatus:
    """Of a model whose last replica was stopped: what is known of it is still true."""
    return ModelStatus(id=status.id, state="unloaded").knowing(status)


def running_deployments() -> set[str]:
    """The names of this application's deployments that have a running replica. Blocks."""
    own = serve.get_replica_context().app_name
    status = serve.status().applications.get(own)
    deployments = status.deployments if status else {}
    return {
        name
        for name, deployment in deployments.items()
        if any(state == "RUNNING" and n for state, n in deployment.replica_states.items())
    }
