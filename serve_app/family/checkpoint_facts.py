"""What the checkpoints of video models tell before they are loaded."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serve_app.core.config import Model
from serve_app.core.options.video import DiffusersVideoOptions, VideoOptions
from serve_app.core.video.checkpoint_parts import FILES, CheckpointDescription, IncompleteCheckpoint
from serve_app.core.video.checkpoints import checkpoint_facts
from serve_app.core.video.generation import VideoFacts
from serve_app.family.checkpoint_downloads import CheckpointDownloads
from serve_app.family.model_configuration import known_configurations
from serve_app.family.model_files import Hub, local_path

logger = logging.getLogger(__name__)

LOOK_AGE_S = 10.0
"""Five small files per model are read that often at most."""


@dataclass(frozen=True)
class _Look:
    at: float
    facts: VideoFacts | None


class CheckpointFacts:
    """Reads what is on this machine, in a thread, and takes what it read for true for `LOOK_AGE_S`:
    a listing reads nothing, and what came, went or was replaced is noticed. What is at a hub only
    is fetched in the background, for a later look. No caller waits for a network.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        hub: Hub | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data_dir = data_dir
        self._hub = hub or Hub()
        self._downloads = CheckpointDownloads(self._hub, clock=clock)
        self._clock = clock
        self._looks: dict[str, _Look] = {}
        self._looking = asyncio.Lock()

    async def __call__(self, model: Model, options: VideoOptions) -> VideoFacts | None:
        """None where the checkpoint is not here, or cannot be understood."""
        if not isinstance(options, DiffusersVideoOptions) or model.place is None:
            return None
        async with self._looking:
            look = self._looks.get(model.id)
            if look is None or self._clock() - look.at >= LOOK_AGE_S:
                facts = await asyncio.to_thread(self._read, model, model.place, options)
                look = self._looks[model.id] = _Look(self._clock(), facts)
        return look.facts

    def _read(self, model: Model, source: str, options: DiffusersVideoOptions) -> VideoFacts | None:
        files = known_configurations(
            source,
            FILES,
            revision=model.revision,
            data_dir=self._data_dir,
            cache_dir=self._hub.cache_dir,
        )
        try:
            checkpoint = CheckpointDescription.of_files(files, options.extra)
            return checkpoint_facts(checkpoint, options.max_frames)
        except IncompleteCheckpoint:
            if local_path(source, self._data_dir) is None:
                self._downloads.begin(source, model.revision)
        except ValueError as error:
            logger.debug("the frame grid of model %r is unknown: %s", model.id, error)
        return None
