"""One thread that writes logs and payloads, so that no request waits for a disk."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
MOST_ITEMS = 20_000
MOST_BYTES = 128 * 1024**2
LOOK_S = 0.2
COMPLAIN_EVERY_S = 60.0


class Writer(Generic[Item]):
    """Hands items to `write` in batches, in order. It looks for them a few times a second, because
    waking a thread for each would cost the requests more than writing does. What comes faster than
    it can be written is dropped and counted in `dropped`. `housekeeping` runs in the same thread,
    at once and every `housekeeping_every_s`.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], None],
        *,
        housekeeping: Callable[[], None] = lambda: None,
        housekeeping_every_s: float = 1800.0,
    ) -> None:
        self.dropped = 0
        self._write = write
        self._housekeeping = housekeeping
        self._housekeeping_every_s = housekeeping_every_s
        self._items: deque[tuple[Item, int]] = deque()
        self._lock = threading.Lock()
        self._bytes = 0
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._complained_at = -COMPLAIN_EVERY_S

    def offer(self, item: Item, *, size: int = 0) -> bool:
        """Have it written soon; `size` is what it holds in memory. False when it is dropped."""
        with self._lock:
            if len(self._items) >= MOST_ITEMS or self._bytes + size > MOST_BYTES:
                self.dropped += 1
                return False
            self._bytes += size
            self._items.append((item, size))
            if self._thread is None:
                self._begin()
        return True

    def start(self) -> None:
        """Run `housekeeping` from now on, also while nothing is written."""
        with self._lock:
            if self._thread is None:
                self._begin()

    def close(self) -> None:
        """Write what is left and end the thread. Blocks; may be called twice."""
        self._ending.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="observability", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            is_last = self._ending.wait(LOOK_S)
            self._drain()
            if is_last:
                return
            if time.monotonic() >= due:
                due = time.monotonic() + self._housekeeping_every_s
                self._guarded(self._housekeeping)

    def _drain(self) -> None:
        with self._lock:
            taken, self._items = self._items, deque()
        if not taken:
            return
        self._guarded(lambda: self._write([item for item, _ in taken]))
        with self._lock:
            self._bytes -= sum(size for _, size in taken)

    def _guarded(self, work: Callable[[], None]) -> None:
        """A disk that is full must not end the thread, nor fill the server's own log."""
        try:
            work()
        except Exception:
            if time.monotonic() - self._complained_at >= COMPLAIN_EVERY_S:
                self._complained_at = time.monotonic()
                logger.exception("the access log or a captured payload could not be written")
