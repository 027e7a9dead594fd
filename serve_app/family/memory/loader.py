"""`FamilyLoader`: loads a family's models where the machine's ledger has room for them."""

import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from typing_extensions import override

from serve_app.core.config import Family, Model
from serve_app.core.engine import Engine
from serve_app.core.errors import BackendUnavailable
from serve_app.core.loading import Report
from serve_app.core.options.text import VllmOptions
from serve_app.core.settings import Storage
from serve_app.core.status import ModelStatus
from serve_app.family.engines import load_engine
from serve_app.family.engines.model_paths import model_path
from serve_app.family.memory.devices import free_mb, placed_on, total_mb, used_mb, weights_mb
from serve_app.family.memory.ledger import MemoryLedger, MemoryShortage, machine_ledger
from serve_app.family.pool import Loader

WORKING_SHARE = 1.2
"""What a loaded model takes, of the size of its weights: buffers, and a first small request."""
WAIT_S = 30.0
LOOK_S = 0.5


class FamilyLoader(Loader):
    """A Loader. A model that finds no room makes others on its device unload what they do not use,
    and is refused when that does not help within `wait_s`.
    """

    def __init__(
        self,
        family: Family,
        storage: Storage,
        ledger: MemoryLedger,
        environment: Mapping[str, str],
        *,
        free: Callable[[str], float | None] = free_mb,
        wait_s: float = WAIT_S,
    ) -> None:
        self._family = family
        self._storage = storage
        self._ledger = ledger
        self._device = placed_on(family.placement.gpus, environment)
        self._free = free
        self._wait_s = wait_s

    @override
    def load(self, model: Model, report: Report) -> Engine:
        path = model_path(self._storage, model, report)
        needed_mb = model.memory_mb or self._estimated_mb(weights_mb(path))
        with self._booked(model, needed_mb, report):
            before = used_mb(self._device)
            engine = load_engine(self._family, self._storage, model, path)
            after = used_mb(self._device)
        measured = None if before is None or after is None else round(after - before, 1)
        taken = measured if measured is not None and measured > 0 else needed_mb
        self._ledger.settle(model.id, mb=taken)
        report(ModelStatus(id=model.id, state="loading", memory_mb=taken))
        return engine

    @override
    def unloaded(self, model: Model) -> None:
        self._ledger.release(model.id)

    @override
    def is_wanted(self) -> bool:
        return self._ledger.is_wanted(self._device)

    def _estimated_mb(self, weights: float) -> float:
        options = self._family.options
        total = total_mb(self._device)
        if isinstance(options, VllmOptions) and total is not None:
            return total * options.gpu_memory_utilization
        return weights * WORKING_SHARE

    @contextmanager
    def _booked(self, model: Model, needed_mb: float, report: Report) -> Generator[None]:
        self._wait_for_room(model, needed_mb, report)
        try:
            yield
        except BaseException:
            self._ledger.release(model.id)
            raise

    def _wait_for_room(self, model: Model, needed_mb: float, report: Report) -> None:
        deadline = time.monotonic() + self._wait_s
        while True:
            shortage = self._ledger.reserve(
                model.id, self._device, mb=needed_mb, free_mb=lambda: self._free(self._device)
            )
            if shortage is None:
                return
            text = self._shortage_text(model, shortage)
            if time.monotonic() > deadline:
                self._ledger.release(model.id)
                raise BackendUnavailable(
                    f"{text}",
                    remedy="unload a model, or place it elsewhere",
                    param="model",
                    code="out_of_memory",
                    retry_after_s=10,
                )
            report(ModelStatus(id=model.id, state="loading", cause=text))
            time.sleep(LOOK_S)

    def _shortage_text(self, model: Model, shortage: MemoryShortage) -> str:
        others = ", ".join(f"{h.model!r} {h.mb / 1024:.1f} GiB" for h in shortage.holdings)
        return (
            f"model {model.id!r} needs about {shortage.needed_mb / 1024:.1f} GiB "
            f"on {self._device}, where {shortage.free_mb / 1024:.1f} GiB are free; "
            f"loaded there: {others or 'nothing'}"
        )


def family_loader(family: Family, *, storage: Storage) -> FamilyLoader:
    """That of a replica, in the ledger of its machine."""
    return FamilyLoader(family, storage, machine_ledger(), os.environ)
