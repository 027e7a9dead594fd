"""One process fetches a model, others of this machine wait for it."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.25


@contextmanager
def sole_fetch(lock: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Run the block while nobody else does; `waiting` is called until then. The lock ends with its
    process, however that ends.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(POLL_S)
        yield
