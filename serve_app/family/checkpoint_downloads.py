"""Downloads the small files of video checkpoints from the hub in the background."""

import logging
import threading
import time
from collections.abc import Callable

from serve_app.core.video.checkpoint_parts import INDEX, needed_files
from serve_app.family.model_configuration import fetch_configuration
from serve_app.family.model_files import HUB_TIMEOUT_S, Hub

logger = logging.getLogger(__name__)

RETRY_S = 600.0
"""A hub is not asked for the same checkpoint again before, however it answered."""


class CheckpointDownloads:
    """What came is in the hub's local cache from then on. The environment counts here too:
    HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.
    """

    def __init__(self, hub: Hub, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._clock = clock
        self._started_at: dict[tuple[str, str | None], float] = {}

    def begin(self, source: str, revision: str | None) -> None:
        """Returns at once. A source that is no hub id, or not at the hub, makes no difference."""
        started_at = self._started_at.get((source, revision))
        if started_at is not None and self._clock() - started_at < RETRY_S:
            return
        self._started_at[source, revision] = self._clock()
        # A daemon, because a server that stops does not wait for a hub.
        threading.Thread(
            target=self._fetch, args=(source, revision), name="checkpoint-download", daemon=True
        ).start()

    def _fetch(self, source: str, revision: str | None) -> None:
        try:
            from huggingface_hub import HfApi

            # Tried once, where a download is tried five times with a line in the log for each.
            HfApi(endpoint=self._hub.endpoint).model_info(
                source, revision=revision, timeout=HUB_TIMEOUT_S
            )
            index = fetch_configuration(source, INDEX, revision=revision, hub=self._hub)
            for file in needed_files(index or {}):
                fetch_configuration(source, file, revision=revision, hub=self._hub)
        except Exception as error:
            # Loading the model will tell what is wrong; nobody waits for this.
            logger.info("the hub does not describe %r: %s", source, type(error).__name__)
