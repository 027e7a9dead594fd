"""What engines are made of: their constructor and life, and a thread for models that run one call
at a time.
"""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from deployments.micro_batches import MicroBatches
from serve_app.core.config import Model
from serve_app.core.media import BlobStore
from serve_app.core.options.engine import EngineOptions
from serve_app.runtime.extras import needed_by

Options = TypeVar("Options", bound=EngineOptions)
Item = TypeVar("Item")
Result = TypeVar("Result")


class ModelEngine(Generic[Options]):
    """An Engine; its verbs are those of its task's Protocol. Subclasses load in their constructor.

    `requires` are modules that a job imports only on its way: a missing one is found here instead.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    context_length: int | None = None

    def __init__(
        self, options: Options, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        self.options = options
        self.model = model
        self.path = path
        self.blobs = blobs
        with needed_by(options):
            for module in self.requires:
                importlib.import_module(module)

    async def start(self) -> None:
        """Nothing is bound to the event loop."""

    async def close(self) -> None:
        """Nothing to free."""


class WorkerEngine(ModelEngine[Options]):
    """A ModelEngine with one thread, in which its model runs; requests take turns in it."""

    def __init__(
        self, options: Options, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self.worker = ThreadPoolExecutor(1, thread_name_prefix=f"{options.engine}-{options.task}")
        self._refusals: list[Callable[[], None]] = []

    def micro_batches(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        size: Callable[[Item], int],
        max_size: int,
    ) -> MicroBatches[Item, Result]:
        """MicroBatches in the thread, which are closed with the engine."""
        batches = MicroBatches(self.worker, run, size=size, max_size=max_size)
        self._refusals.append(batches.close)
        return batches

    async def in_worker(self, work: Callable[[], Result]) -> Result:
        """What `work`, which blocks, returns."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, work)

    async def close(self) -> None:
        """Refuse what waits for the thread; what it is at, it finishes."""
        for refuse in self._refusals:
            refuse()
        # What comes before a batch goes on to be refused by it; a cancelled future would look as
        # if the caller had gone.
        self.worker.shutdown(wait=False, cancel_futures=not self._refusals)
